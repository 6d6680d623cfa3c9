"""Continuations of text, as handed to the report by whoever can run the models."""

from __future__ import annotations

from mbo_search.study.base import Description

__all__ = ["TextSample"]


class TextSample(Description):
    """What one model wrote.

    Attributes:
        trial: Number of the schedule that trained it.
        label: What it stands for, such as `baseline` or `winner`.
        prompt: The text that it was given.
        continuation: What it added.
        val_perplexity: Its validation perplexity, if known.
    """

    trial: int
    label: str
    prompt: str
    continuation: str
    val_perplexity: float | None = None
