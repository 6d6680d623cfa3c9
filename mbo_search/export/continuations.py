"""One text, continued by the schedules of the verdict: what a difference in perplexity reads like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbo_search.errors import UserError
from mbo_search.report.samples import TextSample
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.cache import user_cache

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData

_PROMPT_TOKENS = 24
_NUM_TOKENS = 96
_TEMPERATURE = 0.7
_SEED = 0


def continuations(
    run: RunDirectory, ranking: Ranking, prepared: PreparedData | None = None
) -> tuple[TextSample, ...]:
    """Let the baseline and the schedules of the verdict continue the beginning of the validation text."""
    verdict = ranking.verdict
    trials = dict.fromkeys(
        [ranking.baseline_trial, verdict.opponent_trial, verdict.champion_trial, verdict.winner_trial]
    )
    samples = [_sample(run, ranking, trial, prepared) for trial in trials if trial is not None]
    return tuple(sample for sample in samples if sample is not None)


def _sample(run: RunDirectory, ranking: Ranking, trial: int, prepared: PreparedData | None) -> TextSample | None:
    from mbo_search.export.generate import continue_text
    from mbo_search.export.sample import load_trial
    from mbo_search.results.records.run_data import same_data

    try:
        prepared = same_data(run, user_cache()) if prepared is None else prepared
        model, tokenizer = load_trial(run, trial, prepared)
    except UserError:
        return None
    if model.objective != "next_token":
        return None
    prompt = whole_words(tokenizer.decode(prepared.tokens("validation")[:_PROMPT_TOKENS].tolist()))
    row = next(row for row in ranking.trials if row.trial == trial)
    text = continue_text(model, tokenizer, prompt, num_tokens=_NUM_TOKENS, temperature=_TEMPERATURE, seed=_SEED)
    return TextSample(
        trial=trial, label=row.rung, prompt=prompt, continuation=text, val_perplexity=row.val_perplexity
    )


def whole_words(text: str) -> str:
    """Text without the piece of a word, or of a character, that it may end in; all of it where there is no space.

    >>> whole_words("a value or raise S"), whole_words("one two "), whole_words("word")
    ('a value or raise', 'one two', 'word')
    """
    whole = text.rstrip("\ufffd")
    words = whole.rsplit(maxsplit=1)
    if whole != whole.rstrip() or len(words) < 2:
        return whole.rstrip() or whole
    return words[0]
