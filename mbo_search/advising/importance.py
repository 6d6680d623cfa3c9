"""Importance: which choices decided whether a schedule came out among the best, per stage.

Computed by Optuna's PED-ANOVA from the records of the question's own search, so that settings which exist only for
some optimizers count as well.

References:
    Watanabe, Bansal & Hutter 2023, "PED-ANOVA", arXiv:2304.10255.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mbo_search.results.records.records import Params, TrialRecord
from mbo_search.study.space.parameter_names import stage_of
from mbo_search.study.space.parameters import Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

FEWEST_TRIALS = 12
"""Below so many complete trials the figures would be noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Importance of each searched setting.

    Attributes:
        shares: (stage, parameter, share of the whole in [0, 1]), stage by stage, largest first within each.
        num_trials: Complete trials that it rests on.
    """

    shares: tuple[tuple[int, str, float], ...]
    num_trials: int

    def of_stage(self, stage: int) -> float:
        """Share of all choices of a stage together."""
        return sum(share for own, _, share in self.shares if own == stage)


Points = Sequence[tuple[Params, float]]
"""Values of trials, each with what it is worth: lower is better."""


def points_of(records: Sequence[TrialRecord]) -> Points:
    """The complete trials of an arm with their losses."""
    return [(record.params, record.val_loss) for record in records if record.val_loss is not None]


def importance_of(done: Points, space: Sequence[Parameter]) -> Importance | None:
    """Compute importances from the complete trials of a space; None if there are too few."""
    values: dict[str, set[float | int | str | None]] = {
        parameter.name: {params.get(parameter.name) for params, _ in done} for parameter in space
    }
    varied = sorted(name for name, seen in values.items() if len(seen) > 1)
    if len(done) < FEWEST_TRIALS or not varied:
        return None
    shares = _ped_anova(done, {parameter.name: parameter for parameter in space}, varied)
    total = sum(shares.values())
    if not total:
        return None
    rows = [(stage_of(name), name, share / total) for name, share in shares.items()]
    return Importance(shares=tuple(sorted(rows, key=lambda row: (row[0], -row[2]))), num_trials=len(done))


def _ped_anova(
    done: Points,
    space: Mapping[str, Parameter],
    varied: Sequence[str],
) -> dict[str, float]:
    import optuna

    from mbo_search.engine.searcher.optuna_searcher import quiet_study

    ranges = {name: _distribution(space[name]) for name in varied}
    study = quiet_study(optuna.samplers.RandomSampler(seed=0))  # never asked: it only holds the trials
    study.add_trials([_trial(params, loss, ranges) for params, loss in done])
    # The best quarter of few trials is still a handful; the usual tenth would be one or two.
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=max(0.1, min(0.25, 8 / len(done))))
    with warnings.catch_warnings():
        # A setting that a single schedule has, or lacks, carries no information, and gets no importance.
        warnings.filterwarnings(
            "ignore", message="Some regimes for parameter .* have less than", category=UserWarning
        )
        return optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(varied))


def _trial(
    params: Mapping[str, float | int | str], loss: float, ranges: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    from optuna.trial import create_trial

    from mbo_search.engine.searcher.suggest import fits

    # a record from another version of the study may hold other values
    known = {name: value for name, value in params.items() if name in ranges and fits(value, ranges[name])}
    return create_trial(params=known, distributions={name: ranges[name] for name in known}, value=loss)


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    step = None if parameter.log else parameter.step
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=step)
