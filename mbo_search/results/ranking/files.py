"""The ranking of a run directory: from its records to `ranking.json`, `ranking.csv` and `best.yaml`."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mbo_search.errors import RunDirectoryError, UserError
from mbo_search.model.size import num_parameters_told
from mbo_search.results.evidence.attribution import AttributionContext
from mbo_search.results.evidence.ladder import charges_of, ladder_context
from mbo_search.results.evidence.noise import EarlierNoise, noise_of_earlier
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.noted import with_notes
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.ranking.rank import RankingContext, count_totals, rank
from mbo_search.results.ranking.repeats import repeat_folder, search_repeats
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.notes import read_notes
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.verdict.next_step import Situation
from mbo_search.study.files.schedule_file import dump_schedule_file
from mbo_search.study.spec.network_facts import Predicted
from mbo_search.study.spec.reference_lr import reference_lrs
from mbo_search.study.study import Study
from mbo_search.system.files import write_atomic, write_json
from mbo_search.train.setup.setup import TrainSetup

_LOGGER = logging.getLogger(__name__)
_MOST_FOLDERS = 500

_ABOUT: Mapping[Predicted, str] = {
    "masked": "Losses and perplexities are those of masked tokens.",
    "completion": "Losses and perplexities are those of the answers' tokens.",
}
"""What numbers mean that are not about every token."""


def make_ranking(
    run: RunDirectory,
    *,
    study: Study | None = None,
    setup: TrainSetup | None = None,
    records: Sequence[TrialRecord] | None = None,
) -> Ranking:
    """Rank the schedules of a run directory; only what the caller does not pass is read from it.

    Raises:
        RunDirectoryError: If its setup is damaged. Damaged records are logged and left out.
        StudyError: If its study is damaged.
    """
    study = run.study() if study is None else study
    records = run.records() if records is None else records
    ranking = _ranking_of_search(run, study, run.setup() if setup is None else setup, records)
    ranking = with_notes(ranking, read_notes(run.path), records)
    return ranking if study.search.repeats == 1 else _with_repeats(ranking, run, study.search.repeats)


def _ranking_of_search(
    run: RunDirectory, study: Study, setup: TrainSetup, records: Sequence[TrialRecord]
) -> Ranking:
    status, budget = run.status(), setup.budget()
    context = RankingContext(
        ladder=ladder_context(study, budget.total_tokens, charges_of(records, status)),
        situation=situation_of(run, study, status),
        objectives=study.search.objectives,
        attribution=AttributionContext(
            reference_lrs=reference_lrs(study),
            common=tuple(study.custom),
            budget=budget,
            is_asked=study.confirm is not None and study.confirm.attribution,
        ),
    )
    totals = count_totals(records, status)
    ranking = rank(records, study.study, totals, scale=scale_of(setup), confirm=study.confirm, context=context)
    about = _ABOUT.get(setup.predicted)
    return ranking if about is None else ranking.model_copy(update={"notes": (about, *ranking.notes)})


def situation_of(run: RunDirectory, study: Study, status: Mapping[str, object]) -> Situation:
    """Where a run lies and how far it is; what earlier versions have not noted counts as finished."""
    numbers = (Path(f"{run.path}-{number}") for number in itertools.count(2))
    sibling = next(path for path in numbers if not path.exists())
    unfinished = status.get("finished") is False
    return Situation(directory=str(run.path), sibling=str(sibling), study=study, is_unfinished=unfinished)


def _with_repeats(ranking: Ranking, run: RunDirectory, planned: int) -> Ranking:
    """The ranking of the first search, with what the others say; those that have not begun say nothing."""
    folders = [repeat_folder(run.path, number) for number in range(2, planned + 1)]
    others = [make_ranking(RunDirectory(folder)) for folder in folders if (folder / "study.yaml").is_file()]
    found = search_repeats([ranking, *others], planned)
    return ranking.model_copy(update={"repeats": found, "declared": "searching"})


def write_ranking(
    run: RunDirectory, ranking: Ranking, *, study: Study | None = None, setup: TrainSetup | None = None
) -> None:
    """Write `ranking.json`, `ranking.csv` and, once a schedule is complete, `best.yaml`.

    Raises:
        RunDirectoryError: If the directory's setup is damaged.
        StudyError: If its study is damaged.
    """
    _write_tables(run, ranking)
    winner = ranking.verdict.winner_trial
    if winner is not None:
        study = run.study() if study is None else study
        setup = run.setup() if setup is None else setup
        best = schedule_file_of(ranking, winner, study=study, setup=setup, where=str(run.path))
        write_atomic(run.best_yaml, dump_schedule_file(best))


def write_noted_ranking(run: RunDirectory) -> None:
    """Put the notes of today into `ranking.json` and `ranking.csv`, where they are and nobody is writing them.

    A driver writes both at its end, with the notes that there are then. Numbers stay as they are; a ranking that
    cannot be read stays as well.
    """
    if not run.ranking_json.is_file() or run.holder() is not None:
        return
    try:
        with run.lock():
            ranking = read_description(run.ranking_json, Ranking)
            _write_tables(run, with_notes(ranking, read_notes(run.path), run.records()))
    except RunDirectoryError as error:
        _LOGGER.warning("%s and %s lack the newest notes: %s", run.ranking_json.name, run.ranking_csv.name, error)


def _write_tables(run: RunDirectory, ranking: Ranking) -> None:
    from mbo_search.results.ranking.frames import ranking_frame

    write_json(run.ranking_json, ranking.model_dump(mode="json"))
    write_atomic(run.ranking_csv, ranking_frame(ranking).to_csv(index=False))


def scale_of(setup: TrainSetup) -> str:
    """Describe the size at which a study's answer holds."""
    parameters = num_parameters_told(setup.model, setup.vocab_size)
    size = "" if parameters is None else f"{_millions(parameters)} parameters, "
    return f"at {size}{_millions(setup.budget().total_tokens)} tokens"


def _millions(count: int) -> str:
    millions = count / 1e6
    return f"{millions:.0f} M" if millions >= 100 else f"{millions:.2g} M"


def earlier_noise(root: Path, setup: TrainSetup, worthwhile_percent: float) -> EarlierNoise | None:
    """Learn from the run directories in a folder that trained the same model as long on the same data."""
    alike = list(_alike(root, setup))
    rankings = {run.path.name: make_ranking(run, setup=own) for run, own in alike}
    return noise_of_earlier(rankings, worthwhile_percent)


def _alike(root: Path, setup: TrainSetup) -> Iterator[tuple[RunDirectory, TrainSetup]]:
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in folders[:_MOST_FOLDERS]:
        try:
            run = RunDirectory.open(folder)
            own = run.setup()
            is_alike = _material(own) == _material(setup)
        except UserError:
            continue
        if is_alike:
            yield run, own


def _material(setup: TrainSetup) -> str:
    return setup.model_copy(update={"numerics": {}}).root_key(0)
