"""The section of a report that says what its trials say about the next study."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.advising.advice import advice_of
from mbo_search.advising.gather import FinishedStudy
from mbo_search.errors import command_line
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings

MOST_TRIALS = 1000
"""Of more schedules a page does not wait for advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownChange:
    """A line of the next study.

    Attributes:
        key: Its key path.
        before: What stood there.
        after: What stands there now.
        reasons: Why, a sentence each.
    """

    key: str
    before: str
    after: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceBlock:
    """Advice in the words of a page.

    Attributes:
        changes: The lines that change.
        remarks: What else is said.
    """

    changes: tuple[ShownChange, ...]
    remarks: tuple[str, ...]


def advice_block(source: ReportSource, text: Strings) -> AdviceBlock:
    """Ask a study's trials about the next one; of very many trials the command line is to be asked."""
    if len(source.records) > MOST_TRIALS:
        command = command_line("advise", source.path)
        return AdviceBlock(changes=(), remarks=(text["missing"]["advice"].format(command=command),))
    finished = FinishedStudy(
        name=source.path.resolve().name,
        study=source.study,
        setup=source.setup,
        records=tuple(source.records.values()),
        ranking=source.ranking,
    )
    advice, words = advice_of([finished], [source.path]), text["advice"]
    changes = tuple(
        ShownChange(
            key=change.key,
            before=change.before,
            after=change.after,
            reasons=tuple(reason.text(words) for reason in change.reasons),
        )
        for change in advice.changes
    )
    return AdviceBlock(changes=changes, remarks=tuple(said.text(words) for said in advice.said))
