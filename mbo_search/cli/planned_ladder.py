"""The ladder of a study as `plan` shows it: who searches what with which share, and what seeds can find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mbo_search.api.tables import table
from mbo_search.results.statistics.paired import nats_of_percent
from mbo_search.results.statistics.seeds_needed import power
from mbo_search.results.statistics.sequential import spending_of
from mbo_search.results.verdict.sentences import FREEDOMS
from mbo_search.study.space.ladder import RUNG_OF_SEARCH, question_of, rungs_of
from mbo_search.study.spec.rungs import Rung

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.engine.plan_values import ArmPlan, StudyPlan
    from mbo_search.results.evidence.noise import EarlierNoise
    from mbo_search.results.records.records import Arm

_SEEDS = (6, 12, 24)
_GAINS_PERCENT = (0.5, 1.0, 2.0)


def question_line(plan: StudyPlan) -> str:
    """What the study asks, and what the answer has to beat."""
    question = question_of(plan.study)
    below = [rung for rung in rungs_of(plan.study) if rung != question]
    against = f"the champions of {', '.join(below)}" if below else "nothing: no rung below is searched"
    return f"Question: does {FREEDOMS[question]} pay? It has to beat {against}."


def rung_of_arm(arm: Arm, question: Rung) -> Rung:
    """The rung that a search is for."""
    return next((rung for name, rung in RUNG_OF_SEARCH.items() if name == arm), question)


def ladder_of_plan(plan: StudyPlan) -> RenderableType:
    """A row for each search, lowest rung first, the question's own last."""
    from mbo_search.engine.searcher.searches import search_shares

    shares, question = search_shares(plan.study), question_of(plan.study)
    arms = sorted(plan.arms, key=lambda arm: arm.arm == "staged")
    rows = [
        (
            rung_of_arm(arm.arm, question),
            arm.arm,
            "question" if arm.arm == "staged" else "opponents",
            f"{round(100 * shares.get(arm.arm, 0), 1):g}%",
            str(len(arm.parameters)),
            _combinations(arm),
        )
        for arm in arms
    ]
    untuned = [("untuned", name, "opponents", "first", "0", "1") for name in plan.baselines]
    header = ["rung", "search", "side", "tokens", "dimensions", "combinations"]
    return table(
        header, [*untuned, *rows], title="Ladder, lowest rung first", right="tokens dimensions combinations"
    )


def _combinations(arm: ArmPlan) -> str:
    free = f" x {arm.free_numbers} free numbers" if arm.free_numbers > 1 else " x 1 free number"
    return f"{arm.combinations:,}{free if arm.free_numbers else ''}"


def power_of_seeds(noise: EarlierNoise) -> RenderableType | None:
    """How probably a gain is found with so many seeds; None where earlier differences did not vary.

    On the judged text as it is, and for other text like it: the choice of documents adds an error of its own, which
    no number of seeds takes away.
    """
    if noise.sd_nats <= 0:
        return None
    texts = [("this text", 0.0)]
    if noise.documents is not None and noise.document_se_nats is not None:
        texts.append((f"text like its {noise.documents} documents", noise.document_se_nats))
    rows = [
        (f"{seeds}", text, *(f"{_power(gain, seeds, noise.sd_nats, error):.0%}" for gain in _GAINS_PERCENT))
        for seeds in _SEEDS
        for text, error in texts
    ]
    gains = [f"{gain:g}%" for gain in _GAINS_PERCENT]
    return table(
        ["seeds", "holds for", *gains],
        rows,
        title="How probably a gain in perplexity is found, by fresh seeds, at that noise",
        right=f"seeds {' '.join(gains)}",
    )


def _power(gain_percent: float, seeds: int, sd_nats: float, document_se_nats: float) -> float:
    """The power over seeds at a spread that holds the documents' error as well."""
    spread = math.sqrt(sd_nats**2 + seeds * document_se_nats**2)
    return power(nats_of_percent(gain_percent) / spread, seeds, spending_of(1))
