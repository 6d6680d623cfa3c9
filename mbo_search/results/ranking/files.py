"""The ranking of a run directory: `ranking.json`, `ranking.csv` and `best.yaml`."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.model.size import num_parameters
from mbo_search.results.evidence.attribution import attribute
from mbo_search.results.evidence.ladder_info import charges_of, ladder_info
from mbo_search.results.evidence.ranking_values import (
    Ranking,
)
from mbo_search.results.ranking.pareto import mark_front
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.ranking.rank import RankingContext, count_totals, rank
from mbo_search.results.ranking.repeats import repeat_folder, search_repeats
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import dump_schedule_file
from mbo_search.study.spec.reference_lr import reference_lrs
from mbo_search.study.study import Study
from mbo_search.system.files import write_atomic, write_json
from mbo_search.train.setup.setup import TrainSetup


def make_ranking(run: RunDirectory, known: Sequence[TrialRecord] | None = None) -> Ranking:
    """Rank the schedules of a run directory from its records.

    Raises:
        RunDirectoryError: If its setup is damaged. Damaged records are logged and left out.
        StudyError: If its study is damaged.
    """
    records, status = run.records() if known is None else known, run.status()
    study, setup = run.study(), run.setup()
    info = ladder_info(study, setup.budget().total_tokens, charges_of(records, status))
    ranking = rank(
        records,
        study.study,
        count_totals(records, status),
        scale=scale_of(setup),
        confirm=study.confirm,
        context=RankingContext(info=info, directory=str(run.path)),
    )
    ranking = _with_repeats(ranking, run, study)
    is_asked = study.confirm is not None and study.confirm.attribution
    attribution = attribute(
        records, reference_lrs(study), setup.budget(), question=info.question, is_asked=is_asked
    )
    return mark_front(ranking.model_copy(update={"attribution": attribution}), study.search.objectives)


def _with_repeats(ranking: Ranking, run: RunDirectory, study: Study) -> Ranking:
    """The ranking of the first search, with what the others say; those that have not begun say nothing."""
    planned = study.search.repeats
    if planned == 1:
        return ranking
    folders = [repeat_folder(run.path, number) for number in range(2, planned + 1)]
    others = [make_ranking(RunDirectory.open(folder)) for folder in folders if (folder / "study.yaml").is_file()]
    found = search_repeats([ranking, *others], planned)
    return ranking.model_copy(update={"repeats": found, "declared": "searching"})


def write_ranking(run: RunDirectory) -> Ranking:
    """Rank the schedules and write `ranking.json`, `ranking.csv` and, once a schedule is complete, `best.yaml`.

    Raises:
        RunDirectoryError: If its setup is damaged.
        StudyError: If its study is damaged.
    """
    from mbo_search.results.ranking.frames import ranking_frame

    ranking = make_ranking(run)
    write_json(run.ranking_json, ranking.model_dump(mode="json"))
    write_atomic(run.ranking_csv, ranking_frame(ranking).to_csv(index=False))
    if ranking.verdict.winner_trial is not None:
        write_atomic(
            run.best_yaml, dump_schedule_file(schedule_file_of(run, ranking.verdict.winner_trial, ranking))
        )
    return ranking


def scale_of(setup: TrainSetup) -> str:
    """At which size a study's answer holds."""
    parameters = num_parameters(setup.model, setup.vocab_size)
    return f"at {_millions(parameters)} parameters, {_millions(setup.budget().total_tokens)} tokens"


def _millions(count: int) -> str:
    millions = count / 1e6
    return f"{millions:.0f} M" if millions >= 100 else f"{millions:.2g} M"
