"""Advice: what finished studies say about the next one, with the study file that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mbo_search.advising.gather import FinishedStudy, gather
from mbo_search.advising.next_study import Change, NextStudy, dump_next, follow
from mbo_search.advising.offers import new_offers
from mbo_search.advising.prospects import about_stages, about_trials, what_it_rests_on, what_mattered
from mbo_search.advising.said import Said
from mbo_search.errors import Problem, UserError
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.study import Study
from mbo_search.system.files import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What some studies say about the next one.

    Attributes:
        folders: Their run directories; the next study follows the last one.
        found: The next study.
        remarks: What the trials say beyond single settings.
        num_trials: Trials that it rests on.
    """

    folders: tuple[Path, ...]
    found: NextStudy
    remarks: tuple[Said, ...]
    num_trials: int

    @property
    def study(self) -> Study:
        """The next study, which `search` takes."""
        return self.found.study

    @property
    def changes(self) -> tuple[Change, ...]:
        """How it differs from the last one, each with its reasons."""
        return self.found.changes

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything else that is said, in English."""
        return tuple(said.text() for said in self.said)

    @property
    def said(self) -> tuple[Said, ...]:
        """The same in any language."""
        unchanged = () if self.changes else (Said(name="unchanged"),)
        return (*unchanged, *self.remarks, *self.found.kept)

    @property
    def yaml(self) -> str:
        """The next study as a file, with the reasons above each line that changed."""
        before = ", ".join(str(folder) for folder in self.folders)
        head = f"This study follows {before}: {len(self.changes)} changes, each with its reasons above it."
        return dump_next(self.found, [head, *self.sentences])

    def save(self, path: Path | str) -> Path:
        """Write the next study to a file.

        Args:
            path: The file to write (YAML).

        Returns:
            The path.
        """
        write_atomic(Path(path), self.yaml)
        return Path(path)


def advise_on(folders: Sequence[Path]) -> Advice:
    """Read run directories, and say what they say about the study that follows the last of them.

    Raises:
        UserError: If there is none, or one cannot be read or compared with the others.
    """
    if not folders:
        raise UserError([Problem(key="DIR", rule="is missing", hint="name at least one run directory")])
    return advice_of([read_finished(RunDirectory.open(folder)) for folder in folders], folders)


def read_finished(run: RunDirectory) -> FinishedStudy:
    """Read a run directory.

    Raises:
        RunDirectoryError: If its setup is damaged.
        StudyError: If its study is damaged.
    """
    study, setup, records = run.study(), run.setup(), run.records()
    ranking = make_ranking(run, study=study, setup=setup, records=records)
    return FinishedStudy(name=run.path.resolve().name, study=study, setup=setup, records=records, ranking=ranking)


def advice_of(studies: Sequence[FinishedStudy], folders: Sequence[Path]) -> Advice:
    """Say what studies say about the one that follows the last of them.

    Raises:
        RunDirectoryError: If they cannot be compared.
    """
    told, base = gather(studies), studies[-1]
    trials, fewer_trials = about_trials(told, base)
    return Advice(
        folders=tuple(folders),
        found=follow(base.study, new_offers(told), fewer_trials),
        remarks=(
            *what_it_rests_on(told, str(folders[-1]) if folders else base.name),
            what_mattered(told),
            trials,
            about_stages(base),
        ),
        num_trials=len(told.trials),
    )
