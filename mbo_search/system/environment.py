"""Environment variables set for the duration of a block, for libraries that have no other setting."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def process_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, and put them back as they were.

    >>> with process_environment({"MBO_EXAMPLE": "1"}):
    ...     os.environ["MBO_EXAMPLE"]
    '1'
    >>> "MBO_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
