"""Schedules in a few words, for tables, logs and sentences."""

from __future__ import annotations

from collections.abc import Iterable

from mbo_search.study.spec.schedule import Stage


def describe_stage(stage: Stage) -> str:
    """One stage in a few words: share, optimizer, learning rate, shape, and what is special about it.

    >>> from mbo_search.study.spec.schedule import LrShape, Regularizer
    >>> describe_stage(Stage(name="cool", share=0.7, optimizer="adamw", lr=0.002, lr_shape=LrShape(kind="linear"),
    ...                      regularizers=(Regularizer(kind="dropout", strength=0.1),), hand_over="reset"))
    '70 % adamw 0.002 linear dropout=0.1 reset'
    """
    parts = [f"{stage.share * 100:.4g} %", stage.optimizer, f"{stage.lr:.4g}", stage.lr_shape.kind]
    parts += [f"{regularizer.kind}={regularizer.strength:g}" for regularizer in stage.regularizers]
    parts += [] if stage.trainable == "all" else [f"only {stage.trainable}"]
    parts += ["reset"] if stage.hand_over == "reset" else []
    return " ".join(parts)


def describe_schedule(stages: Iterable[Stage]) -> str:
    """All stages in order, joined by an arrow."""
    return " -> ".join(describe_stage(stage) for stage in stages)
