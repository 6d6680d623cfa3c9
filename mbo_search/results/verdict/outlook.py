"""What would decide a comparison that is undecided: more seeds, more text, or nothing that is worth its cost."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.results.evidence.ranking_values import OutlookKind
from mbo_search.results.statistics.seeds_needed import documents_to_decide, seeds_to_decide
from mbo_search.results.statistics.sequential import PLANNED_LOOKS, SequentialTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What would probably decide.

    Attributes:
        kind: `seeds`: more of them; `text`: a larger validation text; `tie`: nothing that is worth its cost.
        number: Seeds in all, or how many times the text; for a tie the seeds that it would take, None: countless.
    """

    kind: OutlookKind
    number: int | None = None


def outlook_of(test: SequentialTest, worthwhile_percent: float) -> Outlook | None:
    """Say what would decide a test; None without a measured spread, which nothing can be planned with.

    A difference that takes more seeds than the last planned look is a tie for all practical purposes: whatever it
    is, it is small beside the luck of a single run.
    """
    if not test.sd_nats:
        return None
    seeds = seeds_to_decide(test, worthwhile_percent)
    if seeds is not None and seeds <= PLANNED_LOOKS[-1]:
        return Outlook(kind="seeds", number=seeds)
    times = documents_to_decide(test, worthwhile_percent) if test.num_documents else None
    if times is not None:
        return Outlook(kind="text", number=times)
    return Outlook(kind="tie", number=seeds)
