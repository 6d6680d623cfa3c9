"""One sentence for whoever upgrades a library and finds that a private part of it is gone or has changed."""

from __future__ import annotations

import importlib.metadata
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class PrivateSymbol:
    """A private part of a library that we use.

    Attributes:
        library: Its distribution.
        name: `module:object`, or an expression if it is not reached from a module.
        last_good: The version that the use was written for.
        used_for: What breaks without it.
        user: The function of ours that uses it.
    """

    library: str
    name: str
    last_good: str
    used_for: str
    user: str

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Turn whatever goes wrong in the block into the sentence."""
        try:
            yield
        except (AssertionError, AttributeError, ImportError, TypeError, ValueError) as error:
            pytest.fail(f"{self}\n{type(error).__name__}: {error}", pytrace=False)

    def find(self) -> object:
        """The object itself."""
        return pkgutil.resolve_name(self.name)

    def __str__(self) -> str:
        version = importlib.metadata.version(self.library)
        return (
            f"{self.library} {version}: the private {self.name} is gone or has changed since {self.last_good}. "
            f"It is used to {self.used_for}: see {self.user}"
        )
