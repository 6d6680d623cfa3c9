"""A comparison in words: who is ahead and how surely, or why nobody can be called better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mbo_search.model.size import num_parameters_told
from mbo_search.report.comparison.comparability import Comparability, Difference, Pairing, pair
from mbo_search.report.comparison.compared_runs import ComparedRun
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.icons import Outcome
from mbo_search.report.style.numbers import format_percent, signed_percent
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.statistics.paired import FEWEST_SEEDS, PairedTest, percent_lower
from mbo_search.units import format_count

_LEVEL_PERCENT = 0.005
"""A smaller gain is none."""


def verdict_between(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> str:
    """One plain sentence: who is better than the runner-up and by how much, if that can be said."""
    words, (best, other) = text["compare"], ordered[:2]
    if not judged.is_ranked:
        reasons = words["and"].join(_difference(name, ordered, words) for name in judged.apart)
        return words["apart"].format(reasons=reasons)
    pairing = pair(best, other, judged)
    names = {"best": best.name, "other": other.name}
    gain_percent = percent_lower(pairing.gain_nats)
    if gain_percent < _LEVEL_PERCENT:
        return words["level"].format(**names)
    return words[_sureness(pairing, judged)].format(
        **names,
        percent=_percent(gain_percent),
        unit=words[f"of_{judged.unit}"],
        seeds=judged.num_fresh,
        needed=FEWEST_SEEDS,
        **_interval(pairing.fresh),
    )


def outcome_between(ordered: Sequence[ComparedRun], judged: Comparability) -> Outcome:
    """Name how much the comparison has to say."""
    if not judged.is_ranked:
        return "none"
    pairing = pair(ordered[0], ordered[1], judged)
    if percent_lower(pairing.gain_nats) < _LEVEL_PERCENT:
        return "no"
    return "yes" if _sureness(pairing, judged).removesuffix("_bits") == "better" else "undecided"


def outcome_words(ordered: Sequence[ComparedRun], outcome: Outcome, text: Strings) -> str:
    """Say the same in a few words, for the title."""
    return text["compare"][f"outcome_{outcome}"].format(best=ordered[0].name)


def basis(judged: Comparability, text: Strings) -> str:
    """Say on which seeds the schedules are compared."""
    words = text["compare"]
    if judged.unit is None:
        return ""
    if len(judged.seeds) >= 2:
        return words["basis_fresh"].format(seeds=len(judged.seeds))
    return words["basis_search" if judged.seeds else "basis_own"]


def details(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> list[str]:
    """The statistics behind the verdict; where nobody can be called better, what each gains in its own study."""
    if not judged.is_ranked:
        return [said for one in ordered if (said := _beside_baseline(one, text["compare"]))]
    if judged.unit != "perplexity":
        return []
    return [_pairing(pair(ordered[0], other, judged), text["compare"]) for other in ordered[1:]]


def _difference(name: Difference, ordered: Sequence[ComparedRun], words: Mapping[str, str]) -> str:
    """Why they are not alike, with the values where a number says it."""
    setups = [one.source.setup for one in ordered]
    values: Mapping[str, Sequence[int | None]] = {
        "model": [num_parameters_told(setup.model, setup.vocab_size) for setup in setups],
        "budget": [setup.budget().total_tokens for setup in setups],
    }
    told = list(dict.fromkeys(format_count(value) for value in values.get(name, []) if value is not None))
    key = f"apart_{name}" if len(told) != 1 else f"apart_{name}_alike"
    return words[key].format(values=words["list"].join(told))


def _beside_baseline(one: ComparedRun, words: Mapping[str, str]) -> str:
    """What a schedule gains over the baseline of its own study, which was measured as it was."""
    ranking = one.source.ranking
    baseline = next((row for row in ranking.trials if row.trial == ranking.baseline_trial), None)
    if baseline is None or baseline.trial == one.row.trial:
        return ""
    is_fresh = one.row.confirmed and baseline.confirmed
    mine, theirs = _measured(one.row, is_fresh=is_fresh), _measured(baseline, is_fresh=is_fresh)
    if mine is None or theirs is None:
        return ""
    gain = 100 * (1 - math.exp(min(mine - theirs, 700.0)))
    key = "own_fresh" if is_fresh else "own_search"
    return words[key].format(name=one.name, gain=signed_percent(gain), trial=baseline.trial)


def _measured(row: RankedTrial, *, is_fresh: bool) -> float | None:
    return row.val_loss if is_fresh else row.search_val_loss


def _sureness(pairing: Pairing, judged: Comparability) -> str:
    """Choose the sentence for a difference: only an interval over enough seeds that excludes 0 is a fact."""
    test = pairing.fresh
    if test is None or test.low_nats is None:
        return "better_one_seed"
    if test.num_seeds < FEWEST_SEEDS:
        return "better_few"
    if test.low_nats <= 0:
        return "better_luck"
    return "better" if judged.unit == "perplexity" else "better_bits"


def _interval(test: PairedTest | None) -> dict[str, str]:
    """The interval of a gain in percent, for sentences that name it."""
    if test is None or test.low_nats is None or test.high_nats is None:
        return {}
    low, high = percent_lower(test.low_nats), percent_lower(test.high_nats)
    return {"level": format_percent(1 - test.alpha), "low": _percent(low), "high": _percent(high)}


def _percent(value: float) -> str:
    return f"{value:.2g}\u00a0%"


def _pairing(pairing: Pairing, words: Mapping[str, str]) -> str:
    names = {"best": pairing.best.name, "other": pairing.other.name}
    test = pairing.fresh
    if test is not None and test.low_nats is not None and test.high_nats is not None and test.p_value is not None:
        enough = test.num_seeds >= FEWEST_SEEDS
        return words["paired" if enough else "paired_few"].format(
            **names,
            seeds=test.num_seeds,
            nats=f"{test.mean_nats:.4f}",
            level=format_percent(1 - test.alpha),
            low=f"{test.low_nats:.4f}",
            high=f"{test.high_nats:.4f}",
            p=f"{test.p_value:.2g}",
        )
    if pairing.is_search:
        return words["same_seed"].format(**names, nats=f"{pairing.gain_nats:.4f}")
    return words["one_seed"].format(**names)
