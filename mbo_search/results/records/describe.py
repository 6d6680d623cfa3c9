"""Schedules in a few words, for tables, logs and sentences."""

from __future__ import annotations

from collections.abc import Iterable

from mbo_search.study.checks.written import shown
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.schedule import Stage


def describe_stage(stage: Stage) -> str:
    """One stage in a few words: share, optimizer, learning rate, shape, and what is special about it.

    >>> from mbo_search.study.spec.schedule import LrShape, Regularizer
    >>> describe_stage(Stage(name="cool", share=0.7, optimizer="adamw", lr=0.002, lr_shape=LrShape(kind="linear"),
    ...                      regularizers=(Regularizer(kind="dropout", strength=0.1),), hand_over="reset"))
    '70 % adamw 0.002 linear dropout=0.1 reset'
    """
    parts = [f"{stage.share * 100:.4g} %", stage.optimizer, f"{stage.lr:.4g}", stage.lr_shape.kind]
    parts += [f"{name}={value:g}" for name, value in part_settings(stage).items()]
    parts += [f"{regularizer.kind}={regularizer.strength:g}" for regularizer in stage.regularizers]
    parts += [f"{name}={value}" for name, value in dimension_words(stage).items()]
    parts += [f"{name}={value}" for name, value in custom_settings(stage).items()]
    parts += [] if stage.trainable == "all" else [f"only {stage.trainable}"]
    parts += ["reset"] if stage.hand_over == "reset" else []
    return " ".join(parts)


def part_settings(stage: Stage) -> dict[str, float]:
    """Learning rates and weight decays of parts of the model that are not the stage's, and numbers of adapters.

    >>> from mbo_search.study.spec.schedule import BlockGroup
    >>> part_settings(Stage(name="cool", share=1.0, optimizer="adamw", lr=0.002, layer_decay=0.9,
    ...                     groups={"norms": BlockGroup(lr_ratio=0.1)}))
    {'layer_decay': 0.9, 'norms/lr_ratio': 0.1}
    """
    return {
        **({} if stage.layer_decay is None else {"layer_decay": stage.layer_decay}),
        **{f"{kind}/lr_ratio": ratio for kind, ratio in stage.lr_ratios.items()},
        **{f"{kind}/weight_decay": decay for kind, decay in stage.weight_decays.items()},
        **({} if stage.adapter is None else _adapter(stage.adapter)),
    }


def custom_settings(stage: Stage) -> dict[str, str]:
    """Settings of the user's own trainer as they are written in files.

    >>> custom_settings(Stage(name="cool", share=1, optimizer="adamw", lr=0.1, custom={"size": 8, "flash": True}))
    {'size': '8', 'flash': 'true'}
    """
    return {name: shown(value) for name, value in stage.custom.items()}


def _adapter(adapter: Adapter) -> dict[str, float]:
    return {
        "lora/rank": float(adapter.rank),
        "lora/alpha": adapter.alpha,
        **({"lora/dropout": adapter.dropout} if adapter.dropout else {}),
    }


def describe_schedule(stages: Iterable[Stage]) -> str:
    """All stages in order, joined by an arrow."""
    return " -> ".join(describe_stage(stage) for stage in stages)
