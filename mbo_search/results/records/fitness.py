"""What a run is worth: the one number that searchers minimize and by which schedules are ordered, lowest first.

That is the validation loss, or the metric of the task that a study names as its objective; where more of a metric
is better, its negative. Everything that prefers one schedule to another asks here.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.records.records import TrialRecord
from mbo_search.study.catalogue.metrics import METRICS

LOSS = "loss"
"""The objective where a study names no other."""


def ranked_by(objectives: Sequence[str]) -> str:
    """The objective by which schedules are ordered: the loss or a metric; time comes beside it.

    >>> ranked_by(["seconds", "chrf"]), ranked_by(["loss"])
    ('chrf', 'loss')
    """
    return next((objective for objective in objectives if objective != "seconds"), LOSS)


def fitness(record: TrialRecord, by: str = LOSS) -> float | None:
    """Worth of a run as the search sees it, lower is better; None if it did not complete or was not scored."""
    if by == LOSS or record.val_loss is None:
        return record.val_loss
    return minimized(by, record.scores.get(by))


def judged_fitness(record: TrialRecord, by: str) -> float | None:
    """Worth of a run by a metric on the judged examples; None where it has none."""
    return minimized(by, judged_scores(record, (by,)).get(by))


def order_key(record: TrialRecord, by: str = LOSS) -> tuple[float, int]:
    """Key of a run that has a worth, to sort by: of equal ones the earlier trial comes first."""
    value = fitness(record, by)
    assert value is not None, "only complete runs can be ordered"
    return value, record.trial


def shown_score(by: str, value: float) -> float:
    """The metric as people write it, of what is minimized.

    >>> shown_score("chrf", -41.5)
    41.5
    """
    return -value if METRICS[by].direction == "higher" else value


def judged_scores(record: TrialRecord, names: Sequence[str] | None = None) -> dict[str, float]:
    """Metrics on the judged examples of a run, all or those named; empty where it was not judged."""
    asked = [name for name in record.judged_statistics if names is None or name in names]
    if not asked:
        return {}
    from mbo_search.metrics.measure import as_statistics, corpus_score
    from mbo_search.metrics.registry import MEASURES

    known = {name: MEASURES[name] for name in asked if name in MEASURES}
    sound = {name: as_statistics(measure, record.judged_statistics[name]) for name, measure in known.items()}
    return {name: corpus_score(known[name], found) for name, found in sound.items() if found is not None}


def minimized(by: str, score: float | None) -> float | None:
    """What is minimized of a metric: the opposite of `shown_score`."""
    if score is None:
        return None
    return -score if METRICS[by].direction == "higher" else score
