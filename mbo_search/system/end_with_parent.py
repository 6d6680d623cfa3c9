"""Child processes that end with their parent, also where that is killed and can tell nobody."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def ending_with_parent() -> Callable[[], None] | None:
    """What a child is to call before its program starts (`preexec_fn`); None where the system has no such thing.

    The child gets SIGTERM when the thread that started it ends, so that thread has to wait for it.
    """
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # loaded before there are two processes
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
