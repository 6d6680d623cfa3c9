"""Which of several labels a model finds likeliest after a prompt.

The log-probability of a label is the sum of those of its tokens and of the end after them. A sum only falls as
tokens are added, so the beginnings of labels are followed in the order of their sums, and what begins worse than a
whole label is never looked at: most labels cost nothing, and the choice is that of the full table.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from mbo_search.model.generation import ask_model
from mbo_search.model.language_model import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """The likeliest label.

    Attributes:
        label: Its number; of equally likely labels the smallest.
        log_prob: Its log-probability, nats.
    """

    label: int
    log_prob: float


def choose_labels(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    *,
    end_token: int,
    batch_rows: int,
) -> list[LabelChoice]:
    """Choose a label for each prompt.

    Args:
        model: A causal model in evaluation mode.
        prompts: Token ids of each prompt, at least one; too long ones lose their beginning.
        labels: Token ids of each label, all different, without `end_token`.
        end_token: The token that ends a label.
        batch_rows: Most rows of one forward pass.
    """
    assert labels, "there is nothing to choose from"
    longest = max(len(label) for label in labels)
    assert longest < model.spec.context
    tree = _tree([(*label, end_token) for label in labels])
    room = model.spec.context - longest
    choices = [_Choice(list(prompt)[-room:], tree) for prompt in prompts]
    by_length = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    ask_model(model, [choices[number] for number in by_length], batch_rows)
    return [choice.found for choice in choices]


@dataclass(frozen=True, slots=True)
class _Branch:
    """A beginning of labels: the smallest label below it, whether it is one itself, and the tokens that follow."""

    label: int
    is_whole: bool
    next_tokens: tuple[int, ...]


def _tree(labels: Sequence[tuple[int, ...]]) -> Mapping[tuple[int, ...], _Branch]:
    """Every beginning of the labels, the empty one included."""
    below: dict[tuple[int, ...], list[int]] = {}
    for number, label in enumerate(labels):
        for length in range(len(label) + 1):
            below.setdefault(label[:length], []).append(number)
    assert all(len(below[label]) == 1 for label in labels), "labels are different and hold no end"
    return {
        beginning: _Branch(
            label=numbers[0],
            is_whole=labels[numbers[0]] == beginning,
            next_tokens=tuple(
                dict.fromkeys(labels[number][len(beginning)] for number in numbers if labels[number] != beginning)
            ),
        )
        for beginning, numbers in below.items()
    }


class _Choice:
    """The search for one prompt's label: the beginnings found so far, the likeliest first."""

    def __init__(self, prompt: list[int], tree: Mapping[tuple[int, ...], _Branch]) -> None:
        self._prompt = prompt
        self._tree = tree
        self._found: list[tuple[float, int, tuple[int, ...]]] = [(0.0, 0, ())]

    @property
    def is_done(self) -> bool:
        """Whether the likeliest beginning is a whole label."""
        return self._tree[self._found[0][2]].is_whole

    @property
    def found(self) -> LabelChoice:
        """The likeliest label."""
        against, label, _ = self._found[0]
        return LabelChoice(label=label, log_prob=-against)

    def rows(self) -> list[list[int]]:
        return [[*self._prompt, *self._found[0][2]]]

    def hear(self, log_probs_RV: Tensor) -> None:
        against, _, beginning = heapq.heappop(self._found)
        tokens = self._tree[beginning].next_tokens
        for token, log_prob in zip(tokens, log_probs_RV[0, list(tokens)].tolist(), strict=True):
            longer = (*beginning, token)
            heapq.heappush(self._found, (against - log_prob, self._tree[longer].label, longer))
