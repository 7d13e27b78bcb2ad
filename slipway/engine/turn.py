"""One lock for everything that may import an SDK module."""

import threading
from typing import Final

TURN: Final = threading.RLock()
"""Held while a program's body runs, and while SDK classes load.

Python code of several plans takes turns anyway; holding the turn for a whole program body also keeps lazy SDK imports,
`sys.path` and the environment consistent between threads.
"""
