"""The first screen in words: the verdict, the numbers behind it, what the ladder is worth, and what to do next.

English takes over the ranking's own sentences; other languages compose theirs from the ranking's values.
"""

from __future__ import annotations

from collections.abc import Mapping

from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_percent, format_perplexity, signed_percent
from mbo_search.report.style.phrases import translated
from mbo_search.results.evidence.counts import StudyCounts
from mbo_search.results.evidence.differences import sized
from mbo_search.results.evidence.ranking_values import Difference, Estimate, LadderRung, Ranking, SearchRepeats
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.statistics.paired import FEWEST_SEEDS
from mbo_search.study.spec.rungs import Rung
from mbo_search.units import format_count


def question(source: ReportSource, text: Strings) -> str:
    """The study's question."""
    return text["questions"][source.question]


def headline(source: ReportSource, text: Strings) -> str:
    """The verdict in plain words; in English the ranking's own."""
    return headline_of(source.ranking, source.question, text)


def headline_of(ranking: Ranking, question: Rung, text: Strings) -> str:
    """The verdict of a ranking in plain words, about the freedom that was asked about."""
    composed = "" if text.language == "en" else _composed(ranking, question, text)
    return _unbroken(text["sentence"]["headline"].format(sentence=ranking.verdict.headline, composed=composed))


def _composed(ranking: Ranking, question: Rung, text: Strings) -> str:
    """The plain words of other languages, put together from the verdict's values."""
    verdict, words = ranking.verdict, text["plain"]
    kind = _kind(ranking)
    values: dict[str, object] = {
        "freedom": text["freedoms"][question],
        "found": text["found"][question],
        "searched": format_count(sum(row.executed_tokens for row in ranking.ladder if row.name == question)),
    }
    if kind == "none":
        return nothing_complete(ranking.counts, text)
    if verdict.score is not None:
        return _composed_of_score(ranking, verdict.score, words[kind], values, text)
    if kind in ("search", "confirmed"):
        assert verdict.difference is not None, "something was compared"
        percent = verdict.difference.perplexity_percent
        values |= {
            "change": change(percent.mean, text),
            "answer": _opening(ranking, text),
            "between": _between(percent, text),
            "ending": _ending(ranking, text),
        }
    return words[kind].format(**values)


def _composed_of_score(
    ranking: Ranking, score: ScoreTest, words: str, values: Mapping[str, object], text: Strings
) -> str:
    """The same by a metric."""
    between = ""
    if score.low is not None and score.high is not None:
        ends = (change_of_score(end, score.metric, text) for end in (score.low, score.high))
        between = text["plain"]["between"].format(**dict(zip(("low", "high"), ends, strict=True)))
    ending = ""
    if ranking.verdict.forbids_yes:
        ending = text["plain"]["but"].format(reason=translated(ranking.verdict.objections[0], text))
    return words.format(
        **values,
        change=change_of_score(score.mean, score.metric, text),
        answer=text["metric"]["answer"].format(answer=_opening(ranking, text), metric=score.metric),
        between=between,
        ending=ending,
    )


def change_of_score(mean: float, metric: str, text: Strings) -> str:
    """A gain by a metric in plain words, such as 1.2 chrf better."""
    side = "alike" if mean == 0 else "better" if mean > 0 else "worse"
    return text["plain"][side].format(size=f"{abs(mean):.4g} {metric}")


def nothing_complete(counts: StudyCounts, text: Strings) -> str:
    """Say that no schedule is complete, and what became of those that were tried."""
    words = text["plain"]
    if not counts.schedules:
        return words["nothing_tried"]
    endings = words["and"].join(
        words["ending_count"].format(count=count, ending=text["endings"][ending])
        for ending, count in counts.unfinished
    )
    return words["none"].format(count=counts.schedules, endings=endings)


def change(percent: float, text: Strings) -> str:
    """A gain in plain words, such as 2.3 % better."""
    size, side = sized(percent)
    return text["plain"][side or "alike"].format(size=size)


def _between(percent: Estimate, text: Strings) -> str:
    if percent.low is None or percent.high is None:
        return ""
    return text["plain"]["between"].format(low=change(percent.low, text), high=change(percent.high, text))


def _ending(ranking: Ranking, text: Strings) -> str:
    """What keeps a gain from being a yes, or what a no excludes; the same choice as in the ranking's own words."""
    verdict, words = ranking.verdict, text["plain"]
    assert verdict.difference is not None, "something was compared"
    high = verdict.difference.perplexity_percent.high
    if verdict.answer == "no":
        is_plain = high is not None and high <= 0
        return "" if is_plain else words["excluded"].format(percent=f"{verdict.worthwhile_percent:g}")
    if verdict.num_seeds is not None and verdict.num_seeds < FEWEST_SEEDS:
        return words["few_seeds"].format(seeds=verdict.num_seeds)
    if verdict.forbids_yes:
        return words["but"].format(reason=translated(verdict.objections[0], text))
    return "" if verdict.outlook is None else words[f"outlook_{verdict.outlook}"]


def ladder_worth(ranking: Ranking, text: Strings) -> str:
    """Say in one plain sentence what each rung of the ladder is worth, as far as that is known."""
    words = text["headline"]
    best = next((row for row in ranking.trials if row.rank is not None), None)
    if best is None:
        return ""
    compared = [row for row in ranking.ladder if row.gain is not None]
    if not compared and ranking.verdict.ranked_by != LOSS:
        by = ranking.verdict.ranked_by
        return text["metric"]["best"].format(metric=by, score=f"{best.scores[by]:.4g}")
    if not compared:
        return words["alone"].format(perplexity=format_perplexity(best.val_loss))
    helpful, vain = [row for row in compared if row.helps], [row for row in compared if not row.helps]
    parts = [words["worth"].format(what=words["and"].join(_worth(row, text) for row in helpful))] if helpful else []
    if vain:
        names = words["or"].join(text["freedoms"][row.name] for row in vain)
        tokens = format_count(sum(row.executed_tokens for row in vain))
        parts.append(words["vain"].format(tokens=tokens, what=names))
    is_tested = any(row.gain is not None and row.gain.nats.low is not None for row in compared)
    composed = ("" if is_tested else words["unconfirmed"]) + words["between"].join(parts)
    return _unbroken(text["sentence"]["ladder"].format(sentence=ranking.verdict.ladder_sentence, composed=composed))


def _unbroken(sentence: str) -> str:
    """Keep a number and its percent sign on one line."""
    return sentence.replace(" %", "\u00a0%")


def _worth(row: LadderRung, text: Strings) -> str:
    assert row.gain is not None, "only compared rungs are worth something"
    percent = signed_percent(row.gain.perplexity_percent.mean).removeprefix("+")
    percent = text["headline"]["at_most"].format(percent=percent) if row.gain_at_most else percent
    return text["headline"]["worth_of"].format(freedom=text["freedoms"][row.name], percent=percent)


def sentence(source: ReportSource, text: Strings) -> str:
    """The numbers behind the headline; in English the ranking's own sentence, word for word."""
    ranking, verdict, words = source.ranking, source.ranking.verdict, text["sentence"]
    values = {
        "sentence": verdict.details,
        "trial": verdict.champion_trial,
        "parameters": source.parameters_text(text),
        "tokens": format_count(source.budget.total_tokens),
    }
    kind = _kind(ranking)
    if verdict.score is not None:
        return _unbroken(_sentence_of_score(verdict.score, text, values))
    if kind not in ("search", "confirmed"):
        return _unbroken(words["scale"].format(**values))
    assert verdict.difference is not None, "something was compared"
    values |= {
        "other": verdict.opponent_trial,
        "rung": text["names"][_rung_of_trial(ranking, verdict.opponent_trial)],
        "gain": signed_percent(verdict.difference.perplexity_percent.mean),
        "nats": f"{verdict.difference.nats.mean:.4f}",
    }
    return _unbroken(words[kind].format(**values, **_evidence(ranking, verdict.difference, text)))


def _sentence_of_score(score: ScoreTest, text: Strings, values: Mapping[str, object]) -> str:
    words, interval = text["metric"], ""
    if score.low is not None and score.high is not None and score.level is not None:
        ends = {"low": f"{score.low:+.4g}", "high": f"{score.high:+.4g}"}
        interval = words["interval"].format(level=format_percent(score.level), **ends)
    return text["sentence"]["metric"].format(
        **values,
        metric=score.metric,
        other=score.other,
        rung=text["names"][score.rung],
        gain=f"{score.mean:+.4g}",
        interval=interval,
        seeds=max(1, score.num_seeds),
    )


def _kind(ranking: Ranking) -> str:
    """Choose the sentence for the verdict's values."""
    verdict = ranking.verdict
    if verdict.winner_trial is None:
        return "none"
    if verdict.champion_trial is None:
        return "no_champion"
    if verdict.difference is None and verdict.score is None:
        return "alone"
    if verdict.num_seeds is None:
        return "search" if verdict.answer is None else "unfinished"
    return "confirmed"


def _evidence(ranking: Ranking, difference: Difference, text: Strings) -> dict[str, object]:
    """The parts of the sentence that only fresh seeds can fill."""
    verdict, words, nats = ranking.verdict, text["evidence"], difference.nats
    interval = ""
    if nats.low is not None and nats.high is not None and nats.level is not None:
        ends = {"low": f"{nats.low:.4f}", "high": f"{nats.high:.4f}"}
        interval = words["interval"].format(level=format_percent(nats.level), **ends)
    documents = verdict.num_documents
    return {
        "interval": interval,
        "seeds": verdict.num_seeds,
        "covered": words["this_text"] if documents is None else words["documents"].format(count=documents),
    }


def _opening(ranking: Ranking, text: Strings) -> str:
    verdict, words = ranking.verdict, text["answers"]
    answer = words[verdict.answer or "none"]
    if verdict.num_seeds is not None and verdict.num_seeds < FEWEST_SEEDS:
        answer = words["indicative"]
    elif verdict.forbids_yes:
        answer = words["not_yet"]
    if not verdict.is_interim:
        return answer
    return words["interim"].format(seeds=verdict.num_seeds, planned=verdict.planned_seeds, answer=answer)


def _rung_of_trial(ranking: Ranking, trial: int | None) -> Rung:
    return next((row.rung for row in ranking.trials if row.trial == trial), "untuned")


def objections(ranking: Ranking, text: Strings) -> tuple[str, ...]:
    """List what rules out a yes besides the numbers; with a no, what else to note."""
    words = text["labels"]["doubt" if ranking.verdict.answer == "no" else "objection"]
    return tuple(words.format(reason=translated(reason, text)) for reason in ranking.verdict.objections)


def next_step(ranking: Ranking, text: Strings) -> tuple[str, str]:
    """Next step and the command for it; either may be empty."""
    said = translated(ranking.verdict.next, text)
    before, mark, command = said.rpartition("mbo-search ")
    if not mark:
        return said, ""
    return before.rstrip().rstrip(":\uff1a"), mark + command


def repeats_sentence(repeats: SearchRepeats | None, text: Strings) -> str:
    """Result of independent searches together; empty without repeats."""
    if repeats is None:
        return ""
    words = text["sentence"]
    values = {"sentence": repeats.sentence, "searches": repeats.searches, "planned": repeats.planned}
    if repeats.gain is None:
        return words["repeats_few"].format(**values)
    percent = repeats.gain.perplexity_percent
    ends = [signed_percent(end) for end in (percent.low, percent.high) if end is not None]
    return words["repeats"].format(
        **values,
        answer=text["answers"][repeats.answer or "none"],
        gain=signed_percent(percent.mean),
        interval=text["repeats"]["interval"].format(low=ends[0], high=ends[1]) if len(ends) == 2 else "",
    )


def warnings(source: ReportSource, text: Strings) -> tuple[str, ...]:
    """Warnings for the reader before the verdict is believed, in plain sentences."""
    words, ranking = text["missing"], source.ranking
    if not source.ranked:
        return tuple(translated(note, text) for note in ranking.notes)
    verdict, rungs = ranking.verdict, {row.rung for row in source.ranked}
    found = [words["no_champion"].format(found=text["found"][source.question])] * (verdict.champion_trial is None)
    lacking = [row.name for row in ranking.ladder if row.name not in rungs and row.name != source.question]
    found += [words["no_rung"].format(rung=text["names"][rung]) for rung in lacking]
    if "untuned" not in rungs and "untuned" not in lacking:
        found.append(words["no_rung"].format(rung=text["names"]["untuned"]))
    if not any(row.confirmed for row in ranking.trials):
        found.append(words["no_confirm"])
    return (*found, *(translated(note, text) for note in ranking.notes))
