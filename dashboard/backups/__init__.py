"""Backups: everything in the database in one file that either database can take back (issue 6).

The keys are not in it. Sealed columns stay sealed, and what opens them (FIELD_KEYS) is kept elsewhere.
"""
