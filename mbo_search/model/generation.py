"""What a model answers to prompts: greedy or beam search, several prompts at a time, without any chance.

A row is padded on the right, where a causal model never looks, so an answer does not depend on the prompts that it
is searched with, but for rounding. Rows that have ended are computed no more; others take their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mbo_search.model.language_model import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationLimits:
    """How answers are searched.

    Attributes:
        max_new_tokens: Most tokens of an answer, its end included.
        beams: Answers that are pursued at the same time; 1 takes the likeliest token each time.
        batch_rows: Most rows of one forward pass, at least `beams`.
        end_token: The token that ends an answer.
    """

    max_new_tokens: int
    beams: int
    batch_rows: int
    end_token: int


class Inquiry(Protocol):
    """Something that is found out by asking for next tokens, again and again."""

    @property
    def is_done(self) -> bool:
        """Whether it has been found out."""
        ...

    def rows(self) -> list[list[int]]:
        """Token ids of the texts whose next token is asked for, at least one."""
        ...

    def hear(self, log_probs_RV: Tensor) -> None:
        """Take in the log-probabilities of every next token, one line a row."""
        ...


def generate_answers(
    model: LanguageModel, prompts: Sequence[Sequence[int]], limits: GenerationLimits
) -> list[list[int]]:
    """Continue prompts until a model ends its answer or the most tokens are reached.

    Args:
        model: A causal model in evaluation mode.
        prompts: Token ids of each prompt, at least one; too long ones lose their beginning.
        limits: How to search. With beams, answers compete by their mean log-probability per token, as in
            `transformers` with `length_penalty=1` and `early_stopping=False`.

    Returns:
        The token ids of each answer, without its end.
    """
    assert 1 <= limits.beams <= limits.batch_rows
    assert 1 <= limits.max_new_tokens <= model.spec.context
    room = model.spec.context - limits.max_new_tokens + 1
    searches = [_search(list(prompt)[-room:], limits) for prompt in prompts]
    by_length = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    ask_model(model, [searches[number] for number in by_length], limits.batch_rows // limits.beams)
    return [search.answer for search in searches]


@torch.inference_mode()
def ask_model(model: LanguageModel, inquiries: Sequence[Inquiry], most_at_once: int) -> None:
    """Pursue inquiries until all are done, some at a time.

    Args:
        model: A causal model in evaluation mode.
        inquiries: What is to be found out; those whose rows are of similar length should be neighbours.
        most_at_once: How many are pursued at the same time.
    """
    assert not model.training, "dropout would blur what the model says"
    assert model.objective == "next_token", "only such a model can continue a text"
    waiting = iter(inquiries)
    under_way: list[Inquiry] = []
    while under_way := [*under_way, *_next_few(waiting, most_at_once - len(under_way))]:
        rows = [inquiry.rows() for inquiry in under_way]
        log_probs_RV = _next_log_probs(model, [row for own in rows for row in own])
        for inquiry, own_RV in zip(under_way, torch.split(log_probs_RV, [len(own) for own in rows]), strict=True):
            inquiry.hear(own_RV)
        under_way = [inquiry for inquiry in under_way if not inquiry.is_done]


def _next_few(waiting: Iterator[Inquiry], number: int) -> list[Inquiry]:
    return [inquiry for _, inquiry in zip(range(number), waiting, strict=False) if not inquiry.is_done]


def _next_log_probs(model: LanguageModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """Log-probabilities of the token after each row, in float32, on the CPU."""
    lengths = [len(row) for row in rows]
    padded_BT = torch.zeros(len(rows), max(lengths), dtype=torch.int64)
    for padded_T, row in zip(padded_BT, rows, strict=True):
        padded_T[: len(row)] = torch.tensor(row)
    logits_BTV = model(padded_BT.to(next(model.parameters()).device))
    last_B = torch.tensor(lengths, device=logits_BTV.device) - 1
    last_BV = logits_BTV[torch.arange(len(rows), device=logits_BTV.device), last_B, : model.vocab_size]
    return torch.log_softmax(last_BV.float(), dim=-1).cpu()


def _search(prompt: list[int], limits: GenerationLimits) -> _GreedySearch | _BeamSearch:
    return _GreedySearch(prompt, limits) if limits.beams == 1 else _BeamSearch(prompt, limits)


class _GreedySearch:
    """The likeliest token each time; of equally likely ones the one with the smallest id."""

    def __init__(self, prompt: list[int], limits: GenerationLimits) -> None:
        self.is_done = False
        self.answer: list[int] = []
        self._prompt = prompt
        self._limits = limits

    def rows(self) -> list[list[int]]:
        return [self._prompt + self.answer]

    def hear(self, log_probs_RV: Tensor) -> None:
        token = int(log_probs_RV[0].argmax())
        if token == self._limits.end_token:
            self.is_done = True
            return
        self.answer.append(token)
        self.is_done = len(self.answer) == self._limits.max_new_tokens


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """An answer and its score: the summed log-probability while open, the mean per token once closed."""

    score: float
    tokens: list[int]


class _BeamSearch:
    """The best answers so far, open and closed, as many of each as there are beams.

    Twice as many continuations as beams are looked at, because half of them may end. One that ends counts only
    among the best half; the others stand in for those that ended. The search is over when the best open answer,
    as it is, is no better than the worst of as many closed ones as there are beams.
    """

    def __init__(self, prompt: list[int], limits: GenerationLimits) -> None:
        self.is_done = False
        self._prompt = prompt
        self._limits = limits
        self._open = [_Hypothesis(0.0, [])]
        self._closed: list[_Hypothesis] = []

    @property
    def answer(self) -> list[int]:
        """The best closed answer, without its end."""
        tokens = self._closed[0].tokens
        return tokens[:-1] if tokens[-1] == self._limits.end_token else tokens

    def rows(self) -> list[list[int]]:
        return [self._prompt + hypothesis.tokens for hypothesis in self._open]

    def hear(self, log_probs_RV: Tensor) -> None:
        length = len(self._open[0].tokens) + 1
        continued = self._best_continuations(log_probs_RV)
        is_last = length == self._limits.max_new_tokens
        closing = [is_last or found.tokens[-1] == self._limits.end_token for found in continued]
        best = list(zip(continued, closing, strict=True))[: self._limits.beams]
        closed = [_Hypothesis(found.score / length, found.tokens) for found, closes in best if closes]
        self._closed = _best([*self._closed, *closed], self._limits.beams)
        still_open = [found for found, closes in zip(continued, closing, strict=True) if not closes]
        self._open = still_open[: self._limits.beams]
        self.is_done = not self._open or self._cannot_improve(length)

    def _best_continuations(self, log_probs_RV: Tensor) -> list[_Hypothesis]:
        scores = torch.tensor([hypothesis.score for hypothesis in self._open], dtype=torch.float32)
        flat = (scores[:, None] + log_probs_RV).flatten()
        found = flat.topk(min(2 * self._limits.beams, flat.numel()))
        places = (divmod(index, log_probs_RV.shape[1]) for index in found.indices.tolist())
        return [
            _Hypothesis(score, [*self._open[beam].tokens, token])
            for score, (beam, token) in zip(found.values.tolist(), places, strict=True)
        ]

    def _cannot_improve(self, length: int) -> bool:
        is_full = len(self._closed) == self._limits.beams
        return is_full and self._open[0].score / length <= self._closed[-1].score


def _best(hypotheses: list[_Hypothesis], number: int) -> list[_Hypothesis]:
    """The best ones, of equals those that were found first."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:number]
