"""What a schedule has: the words by which the pieces of a program are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mbo_search.export.python.recipe import Recipe

REGULARIZERS = (
    "clip_value",
    "dropout",
    "ema_fold",
    "gradient_noise",
    "l1",
    "l2",
    "l2_sp",
    "label_smoothing",
    "z_loss",
)
"""Regularizers that a program can hold."""

SHAPES = ("average", "constant", "cosine", "inv_sqrt", "linear", "one_cycle", "poly", "wsd")
"""Learning-rate shapes that a program can hold."""

OPTIMIZERS = ("adam", "adamw", "ademamix", "lion", "muon", "nadamw", "sf_adamw", "sgd_nesterov", "soap")
"""Optimizers that a program can hold."""

_COUNTED = frozenset({"ademamix", "sf_adamw", "soap"})
_WITHOUT_SQUARES = frozenset({"lion", "muon", "sgd_nesterov", "soap"})
_OF_GRADIENTS = ("clip_value", "gradient_noise", "l2", "l2_sp")
_TERMS = frozenset({"label_smoothing", "z_loss"})


def features_of(recipe: Recipe) -> frozenset[str]:
    """Name everything that the pieces may ask for."""
    found = {*recipe.optimizers, *_of_stages(recipe.stages), *_of_pairs(recipe)}
    flags = {
        "counted": any(new in _COUNTED or old == "sf_adamw" for old, new in recipe.pairs),
        "bfloat16": recipe.setup.precision == "bfloat16",
        "cuda": recipe.setup.device == "cuda",
        "tied": recipe.model.tie_embeddings,
        "handed": any("hand_over" in stage for stage in recipe.stages),
    }
    return frozenset({*found, *(name for name, is_there in flags.items() if is_there)})


def _of_stages(stages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for stage in stages:
        yield from (name for name in REGULARIZERS if name in stage)
        yield from (name for name in ("lr_ratios", "layer_decay", "decays") if name in stage)
        yield stage["lr"]["shape"]
        yield from ("changed" for name in _OF_GRADIENTS if name in stage)
        yield "terms" if _TERMS & stage.keys() else "plain"
        flags = {
            "aux_lr_ratio": "rest_lr_ratio" in stage,
            "frozen": stage["trainable"] != ["all"],
            "warmup": "warmup_steps" in stage["lr"],
            "clip_norm": stage["clip_norm"] is not None,
            "unclipped": stage["clip_norm"] is None,
            "decay": "sf_adamw" not in stage["optimizers"] and bool(stage["weight_decay"] or stage.get("decays")),
        }
        yield from (name for name, is_there in flags.items() if is_there)
        yield from ("ratios" for name in ("rest_lr_ratio", "lr_ratios", "layer_decay") if name in stage)


def _of_pairs(recipe: Recipe) -> Iterator[str]:
    changed = [pair for pair in recipe.pairs if pair[0] != pair[1]]
    for source, target in changed:
        yield from (f"from_{source}", f"to_{target}")
        if target not in _WITHOUT_SQUARES:
            yield "squares_lost" if source in _WITHOUT_SQUARES else "squares_kept"
    if changed:
        yield "converted"
    if ("soap", "soap") in recipe.pairs:
        yield "soap_to_soap"
    if ("sf_adamw", "sf_adamw") in recipe.pairs and _beta1_changes(recipe.stages):
        yield "sf_to_sf"


def _beta1_changes(stages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether schedule-free AdamW is carried to other settings somewhere, for then its weights are moved."""
    carried = [(old, new) for old, new in pairwise(stages) if "hand_over" in new]
    both = [[each["optimizers"].get("sf_adamw") for each in pair] for pair in carried]
    return any(old and new and old["betas"][0] != new["betas"][0] for old, new in both)
