"""Nudges to browsers: a topic and a version, never data.

What moved is fetched by a request of its own, where rights are checked as for any page (design.md 4).
"""
