"""The command line: parse, call one function, print. `main` is the program `mbo-search`.

Importing this room loads no heavy library; each command imports what it needs when it runs.
"""

from __future__ import annotations

from mbo_search.cli.app import main

__all__ = ["main"]
