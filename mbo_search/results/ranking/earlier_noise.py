"""How noisy differences were in earlier studies of the same data and model, to plan how many seeds are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbo_search.errors import UserError
from mbo_search.results.evidence.comparisons import difference_noise
from mbo_search.results.evidence.ranking_values import Comparison
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.statistics.paired import FEWEST_SEEDS, nats_of_percent, seeds_to_detect
from mbo_search.results.statistics.sequential import SequentialTest
from mbo_search.study.spec.base import Description
from mbo_search.train.setup.setup import TrainSetup

_MOST_FOLDERS = 500


class EarlierNoise(Description):
    """What earlier confirmations tell about the next one.

    Attributes:
        folders: Names of the run directories that it comes from.
        sd_nats: Standard deviation of a difference between two schedules over seeds, pooled.
        worthwhile_percent: The gain in perplexity that is to be found.
        seeds: Fresh seeds with which a paired test finds it four times out of five; null if more than 10,000.
        documents: Judged documents of those studies, at least; null where none was judged on enough of them.
        document_se_nats: What the choice of so many documents adds to the error of a difference, pooled; null too.
    """

    folders: tuple[str, ...]
    sd_nats: float
    worthwhile_percent: float
    seeds: int | None
    documents: int | None = None
    document_se_nats: float | None = None


def earlier_noise(root: Path, setup: TrainSetup, worthwhile_percent: float) -> EarlierNoise | None:
    """Learn from the run directories in a folder that trained the same model as long on the same data."""
    rankings = [(run, make_ranking(run)) for run in _alike(root, setup)]
    used = [(run, ranking) for run, ranking in rankings if difference_noise(ranking.comparisons) is not None]
    sd_nats = difference_noise([one for _, ranking in used for one in ranking.comparisons])
    if sd_nats is None:
        return None
    seeds = seeds_to_detect(nats_of_percent(worthwhile_percent), sd_nats)
    documents, document_se_nats = _documents([one for _, ranking in used for one in ranking.comparisons])
    return EarlierNoise(
        folders=tuple(run.path.name for run, _ in used),
        sd_nats=sd_nats,
        worthwhile_percent=worthwhile_percent,
        seeds=None if seeds is None else max(seeds, FEWEST_SEEDS),
        documents=documents,
        document_se_nats=document_se_nats,
    )


def _documents(comparisons: Sequence[Comparison]) -> tuple[int | None, float | None]:
    """Documents of the declared comparisons, and the error that their choice adds, in nats."""
    tests = [one.test for one in comparisons if one.role == "declared" and isinstance(one.test, SequentialTest)]
    known = [
        (test.num_documents, test.document_se_nats)
        for test in tests
        if test.num_documents is not None and test.document_se_nats is not None
    ]
    if not known:
        return None, None
    squares = math.fsum(error**2 for _, error in known)
    return min(count for count, _ in known), math.sqrt(squares / len(known))


def _alike(root: Path, setup: TrainSetup) -> Iterator[RunDirectory]:
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in folders[:_MOST_FOLDERS]:
        try:
            run = RunDirectory.open(folder)
            is_alike = _material(run.setup()) == _material(setup)
        except UserError:
            continue
        if is_alike:
            yield run


def _material(setup: TrainSetup) -> str:
    return setup.model_copy(update={"numerics": {}}).root_key(0)
