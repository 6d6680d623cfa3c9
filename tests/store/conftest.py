"""The tiny study of the training tests, for stores of states that are really trained."""

from __future__ import annotations

from tests.train.conftest import data, setup

__all__ = ["data", "setup"]
