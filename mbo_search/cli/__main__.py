"""`python -m mbo_search.cli`: the program `mbo-search`, where it is not on the path."""

from __future__ import annotations

from mbo_search.cli.app import main

if __name__ == "__main__":
    main()
