"""Breaking everything while it works: nothing bought twice, nothing lost, all healed by itself (reliability.md, 3).

`python -m tests.crash` measures every goal and prints a table; tests/crash/test_quick.py runs a part of it. Each goal
is a module like those of `bench`; cases.py, killing.py and runner.py kill a purchase at each of its failpoints.
"""
