"""The sensible next step after a verdict, with the command to paste."""

from __future__ import annotations

import shlex

from mbo_search.results.evidence.ladder_info import LadderContext
from mbo_search.results.statistics.paired import FEWEST_SEEDS
from mbo_search.results.statistics.seeds_needed import documents_to_decide, seeds_to_decide
from mbo_search.results.verdict.sentence import Findings


def next_step(found: Findings, info: LadderContext, directory: str) -> str:
    """Say what to do next."""
    folder = shlex.quote(directory)
    if found.winner is None or found.challenger is None:
        return f"go on searching: mbo-search resume {folder} --set search.trials=N"
    if not info.has_opponents:
        return "give the opponents a share, such as control: 0.5, and search again"
    if found.is_interim:
        return f"wait for the other seeds, or go on with: mbo-search resume {folder}"
    if found.unfinished:
        return f"search on for a schedule that trains reliably: mbo-search resume {folder} --set search.trials=N"
    if not found.tests:
        return f"confirm on fresh seeds: mbo-search confirm {folder} --seeds {FEWEST_SEEDS}"
    if found.answer == "no":
        return f"stop, and take the simplest recipe that is as good, from: mbo-search rank {folder}"
    if found.answer == "yes":
        return f"use it: mbo-search export {folder}"
    return _to_decide(found, folder)


def _to_decide(found: Findings, folder: str) -> str:
    if found.objections:
        return f"first mend this: {found.objections[0]}; then search again with: mbo-search fork {folder} NEWDIR"
    weakest = min(found.tests, key=lambda test: test.mean_nats)
    if not weakest.sd_nats:
        return f"confirm on more seeds: mbo-search confirm {folder} --seeds {FEWEST_SEEDS}"
    seeds = seeds_to_decide(weakest, found.worthwhile_percent)
    if seeds is not None:
        return f"{seeds} seeds would probably decide: mbo-search confirm {folder} --seeds {seeds}"
    times = documents_to_decide(weakest, found.worthwhile_percent) if weakest.num_documents else None
    if times is not None:
        return f"{times} times the validation text would probably decide: raise data.validation_share, search again"
    return "stop, for no affordable number of seeds would decide, and take the simplest recipe that is as good"
