"""Notes in the format of optuna-dashboard: Markdown in system attributes of a study, for itself and for its trials.

They are written whether or not the dashboard is installed here, because the file may be opened elsewhere; a test
reads them back with the dashboard's own function.
"""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.export.dashboard.trials import state_reason
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.records.describe import describe_stage
from mbo_search.results.records.notes import Note
from mbo_search.results.records.records import TrialRecord, TrialSpec
from mbo_search.study.files.study_file import dump_study
from mbo_search.study.study import Study

_MOST_CHARACTERS = 2045
"""Characters of one attribute; longer notes are cut into several."""

_ABOUT = (
    "The best trial here is that of the search, on one seed. Runs that judge schedules on fresh seeds have a value "
    "but count as pruned, so that neither a lucky seed nor more text makes the best trial. This file is a view of "
    "the records: `mbo-search dashboard` makes it anew, and what is changed in it is gone then."
)


def note_attributes(body: str, trial_id: int | None = None) -> Iterator[tuple[str, int | str]]:
    """The system attributes of a note, by key.

    >>> list(note_attributes("text", 7))
    [('dashboard:7:note_ver', 1), ('dashboard:7:note_str:0', 'text')]

    Args:
        body: The note, as Markdown.
        trial_id: Identifier of its trial in the storage; None: the note of the study.
    """
    owner = "dashboard" if trial_id is None else f"dashboard:{trial_id}"
    yield f"{owner}:note_ver", 1
    for place, start in enumerate(range(0, len(body), _MOST_CHARACTERS)):
        yield f"{owner}:note_str:{place}", body[start : start + _MOST_CHARACTERS]


def study_note(study: Study, ranking: Ranking, page: str) -> str:
    """What came out, what to do next, where the report lies, and the question itself."""
    verdict = ranking.verdict
    winner = "" if verdict.winner_trial is None else f"The verdict recommends trial {verdict.winner_trial}."
    said = [verdict.sentence, verdict.ladder_sentence, winner, f"Next: {verdict.next}" if verdict.next else ""]
    parts = [*said, _link(page), _ABOUT, f"```yaml\n{dump_study(study)}```"]
    return "\n\n".join(part for part in parts if part)


def trial_note(spec: TrialSpec, page: str, written: Note | None = None) -> str:
    """What somebody wrote down, the recipe by stages, why a trial ended early, and where the report shows it."""
    stages = [f"- **{_plain(stage.name)}**: {describe_stage(stage)}" for stage in spec.schedule.stages]
    said = state_reason(spec) if isinstance(spec, TrialRecord) else ""
    own = "" if written is None else _plain(" ".join([written.text, *(f"#{tag}" for tag in written.tags)]).strip())
    parts = [own, "\n".join(stages), _plain(said), _link(f"{page}#ranking?ranking.q={spec.trial}")]
    return "\n\n".join(part for part in parts if part)


def _link(page: str) -> str:
    return f"Report: [{page}]({page})"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>#|" else one for one in text)
