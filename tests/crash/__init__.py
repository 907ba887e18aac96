"""Killing the buying process at every failpoint: nothing bought twice, nothing lost (reliability.md G2).

`python -m tests.crash` runs everything and prints a table; tests/crash/test_quick.py runs a part of it.
"""
