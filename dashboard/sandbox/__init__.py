"""A stand-in for the provider: the contract (anosim-api.md), its quirks and its faults, over real HTTP.

Standard library only; imports nothing of ours. See server.Sandbox for tests, program.py for the options.
"""

from .server import Sandbox

__all__ = ["Sandbox"]
