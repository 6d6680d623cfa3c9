"""Checks every extension of this package; a package would run this as its test."""

from __future__ import annotations

import sys
from pathlib import Path

from mbo_example import CONFIDENCE_PENALTY, EVOLUTION, EXPONENTIAL, SIGNUM
from mbo_example.files import CSV, MARKDOWN
from mbo_example.lines import LINES

from mbo_search.testing import (
    check_exporter,
    check_logger,
    check_lr_shape,
    check_optimizer,
    check_reader,
    check_regularizer,
    check_searcher,
)

check_optimizer(SIGNUM)
check_regularizer(CONFIDENCE_PENALTY)
check_lr_shape(EXPONENTIAL)
check_searcher(EVOLUTION)
check_exporter(MARKDOWN)
check_logger(LINES)
check_reader(CSV, Path(sys.argv[1]))
