"""The tiny language model of the conformance suites."""

import pytest

from mbo_search.testing.lab import Lab


@pytest.fixture
def lab():
    return Lab()
