"""An optimizer, a regularizer, a learning-rate shape and a searcher, described without torch and Optuna.

Their code is in the modules that the references name, and is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.study.catalogue.entries import (
    Hparam,
    LrShapeDefinition,
    OptimizerDefinition,
    RegularizerDefinition,
    SearcherDefinition,
    StageClock,
)

SIGNUM = OptimizerDefinition(
    name="signum",
    version="1",
    summary="steps along the sign of a running mean of gradients",
    paper="Bernstein et al. 2018, arXiv:1802.04434",
    library="mbo_example.signum.Signum",
    reference_lr=6.0e-4,
    lr_low=1.0e-4,
    lr_high=2.0e-3,
    hparams=MappingProxyType(
        {"momentum": Hparam(default=0.9, low=0.0, high=0.999, summary="decay of the mean of gradients")}
    ),
    state_floats=1.0,
    second_moments=False,
    implementation="mbo_example.signum:IMPLEMENTATION",
)

CONFIDENCE_PENALTY = RegularizerDefinition(
    name="confidence_penalty",
    version="1",
    summary="coefficient of the negative entropy of the predictions, in the training loss only",
    paper="Pereyra et al. 2017, arXiv:1701.06548",
    low=0.0,
    high=1.0,
    search_low=1.0e-3,
    search_high=1.0e-1,
    log=True,
    implementation="mbo_example.penalty:ConfidencePenalty",
)


def _exponential(step: int, hparams: Mapping[str, float | str], clock: StageClock) -> float:
    return float(hparams["end"]) ** (step / (clock.stage_steps - clock.warmup_steps))


EXPONENTIAL = LrShapeDefinition(
    name="exponential",
    version="1",
    summary="falls by the same factor at every step",
    paper="Li & Arora 2020, arXiv:1910.07454",
    hparams=MappingProxyType(
        {"end": Hparam(default=0.01, low=1.0e-4, high=1.0, summary="factor of the peak at the end")}
    ),
    anneals=True,
    factor=_exponential,
)

EVOLUTION = SearcherDefinition(
    name="evolution",
    version="1",
    summary="Optuna's genetic algorithm",
    paper="Deb et al. 2002, doi:10.1109/4235.996017",
    make="mbo_example.evolution:make_evolution",
    several_objectives=True,
)
