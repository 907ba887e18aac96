"""Alerts: what needs a hand stands on the page of all concerned, and goes to the channels of those who chose some.

`standing` finds out what stands now, `keeping` opens and closes the rows, `telling` sends the messages (issue 6).
"""
