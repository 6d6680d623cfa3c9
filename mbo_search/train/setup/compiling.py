"""Whether the passes of a study are compiled: as it says, or where measuring tells that it pays."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.study import Study
from mbo_search.train.compiled import Forward, as_written, compiled_forward, compiler_here
from mbo_search.train.setup.probe import CLEAR_GAIN, PROBE_SECONDS, Prober, prober
from mbo_search.train.setup.setup import TrainSetup

LEAST_HOURS = 0.5
"""Training of one worker, as measured without compiling, from which on compiling is tried.

Compiling takes up to a minute once, and each worker some seconds to load what was compiled.
"""

_LOGGER = logging.getLogger(__name__)


def settle_compiling(study: Study, setup: TrainSetup, workers: int) -> bool:
    """Decide whether passes are compiled.

    Args:
        study: The study.
        setup: How it trains here, but for this.
        workers: Trials at once.

    Raises:
        StudyError: If the study asks for it and it cannot be had.
    """
    if study.train.compile == "off":
        return False
    rule = next(_obstacles(setup), None)
    if study.train.compile == "on":
        if rule is not None:
            raise StudyError([Problem(key="train.compile", value="on", rule=rule, hint="or leave it out")])
        return True
    return rule is None and _pays(study, setup, workers)


def _obstacles(setup: TrainSetup) -> Iterator[str]:
    if not isinstance(setup.model, ModelSpec):
        yield "is for the built-in decoder"
    if setup.ranks > 1:
        yield "is for trials that train in one process, so needs resources.workers_per_trial 1"
    if setup.gradient_checkpointing:
        yield "keeps the activations of layers, so needs train.gradient_checkpointing off"
    if compiler_here(setup.device) is None:
        yield "needs a C++ compiler and the headers of Python" if setup.device == "cpu" else "needs triton"


def _pays(study: Study, setup: TrainSetup, workers: int) -> bool:
    with prober(setup.own_model, setup.vocab_size, device=setup.device, threads=setup.threads) as found:
        plain = _shortest(found, setup, [as_written])[0]
        if _worker_hours(study, plain / (setup.micro_batch * setup.own_model.context), workers) < LEAST_HOURS:
            return False
        compiled = compiled_forward(setup)
        try:
            found.seconds(setup.micro_batch, setup.precision, forward=compiled)
        except RuntimeError as error:  # whatever is wrong with this machine's compiler, training goes on without
            _LOGGER.warning("The model is not compiled: %s", error)
            return False
        plain, fast = _shortest(found, setup, [as_written, compiled])
    return fast * CLEAR_GAIN < plain


def _shortest(found: Prober, setup: TrainSetup, ways: list[Forward]) -> list[float]:
    """The shortest time of a pass each way, measured in turns."""
    shortest = [math.inf for _ in ways]
    deadline = time.monotonic() + PROBE_SECONDS
    while time.monotonic() < deadline:
        for index, forward in enumerate(ways):
            seconds = found.seconds(setup.micro_batch, setup.precision, forward=forward)
            shortest[index] = min(shortest[index], math.inf if seconds is None else seconds)
    return shortest


def _worker_hours(study: Study, token_seconds: float, workers: int) -> float:
    """Hours that each worker trains, all searches together, up to whichever limit comes first."""
    search, tokens = study.search, study.budget.tokens
    limits = [] if search.trials is None else [search.trials * search.repeats * tokens]
    limits += [] if search.budget is None else [search.budget]
    hours = [token_seconds * limit / workers / 3600 for limit in limits]
    return min([*hours, math.inf if search.hours is None else search.hours])
