"""The tiny language model of the conformance suites."""

import pytest

from mbo_search.testing.lab import Lab


class TestedLab(Lab):
    """A lab whose stages take their settings by name."""

    def stage(self, optimizer, settings=None, *, hparams=None, **changes):
        return super().stage(optimizer, {**(settings or {}), **changes}, hparams=hparams or {})


@pytest.fixture
def lab():
    return TestedLab()
