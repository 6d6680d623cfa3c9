"""Public helpers for tests: conformance suites for extensions, a toy runner, a tiny study, and finished runs.

Each `check_` function takes a definition or a trainer, runs every check on it, and raises an `AssertionError` that
says what
does not hold. The built-in objects pass the same checks.
"""

from __future__ import annotations

from mbo_search.testing.files import check_exporter, check_reader
from mbo_search.testing.loggers import check_logger
from mbo_search.testing.lr_shapes import check_lr_shape
from mbo_search.testing.optimizers import check_optimizer
from mbo_search.testing.regularizers import check_regularizer
from mbo_search.testing.searchers import check_searcher
from mbo_search.testing.stage_runners import check_runner

__all__ = [
    "check_exporter",
    "check_logger",
    "check_lr_shape",
    "check_optimizer",
    "check_reader",
    "check_regularizer",
    "check_runner",
    "check_searcher",
]
