"""One text, continued by the schedules of the verdict: what a difference in perplexity reads like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbo_search.errors import UserError
from mbo_search.export.task_answers import task_answers
from mbo_search.report.samples import TextSample
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.cache import user_cache

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData
    from mbo_search.data.tokenizer import Tokenizer
    from mbo_search.model.language_model import LanguageModel

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
    return tuple(
        sample for trial in trials if trial is not None for sample in _samples(run, ranking, trial, prepared)
    )


def _samples(
    run: RunDirectory, ranking: Ranking, trial: int, prepared: PreparedData | None
) -> tuple[TextSample, ...]:
    from mbo_search.export.sample import load_trial
    from mbo_search.results.records.run_data import same_data

    try:
        prepared = same_data(run, user_cache()) if prepared is None else prepared
        model, tokenizer = load_trial(run, trial, prepared)
    except UserError:
        return ()
    if model.objective != "next_token":
        return ()
    row = next(row for row in ranking.trials if row.trial == trial)
    if prepared.is_task:
        return task_answers(run, row, model, prepared)
    return (_continuation(row, model, tokenizer, prepared),)


def _continuation(
    row: RankedTrial, model: LanguageModel, tokenizer: Tokenizer, prepared: PreparedData
) -> TextSample:
    from mbo_search.export.generate import continue_text

    prompt = whole_words(tokenizer.decode(prepared.tokens("validation")[:_PROMPT_TOKENS].tolist()))
    text = continue_text(model, tokenizer, prompt, num_tokens=_NUM_TOKENS, temperature=_TEMPERATURE, seed=_SEED)
    return TextSample(
        trial=row.trial, label=row.rung, prompt=prompt, continuation=text, val_perplexity=row.val_perplexity
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
