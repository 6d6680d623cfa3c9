"""What metrics need besides a task, looked at before anything is trained."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from mbo_search.errors import Problem, StudyError
from mbo_search.metrics.library import missing_library
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.spec.network_facts import ModelObjective


def check_requirements(metrics: Sequence[str], objective: ModelObjective) -> None:
    """Check that a model of this kind can answer, and that the libraries of its metrics are installed.

    Raises:
        StudyError: If not, with every problem.
    """
    problems = []
    if metrics and objective != "next_token":
        rule = "needs a model that writes from left to right, and this one predicts hidden tokens"
        hint = "choose a causal model, or leave evaluation.metrics out"
        problems.append(Problem(key="evaluation.metrics", value=", ".join(metrics), rule=rule, hint=hint))
    libraries = dict.fromkeys(METRICS[name].library for name in metrics)
    missing = [name for name in libraries if name and importlib.util.find_spec(name) is None]
    problems += [missing_library(name) for name in missing]
    if problems:
        raise StudyError(problems)
