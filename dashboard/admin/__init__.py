"""The admin panel: people, accounts and their keys, and what the workers stored, to read.

SMS are not in it: who runs the installation need not read other people's messages.
"""

from . import accounts, archive, people, sync_states

__all__ = ["accounts", "archive", "people", "sync_states"]
