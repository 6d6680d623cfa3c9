"""Names of untuned baselines: `<optimizer>_<lr_shape>`, or the path of a schedule file."""

from __future__ import annotations

from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

_SUFFIXES = (".yaml", ".yml", ".json")


def baseline_names() -> tuple[str, ...]:
    """Every baseline that has a name."""
    return tuple(
        f"{optimizer}_{shape}"
        for optimizer, info in OPTIMIZERS.items()
        for shape in LR_SHAPES
        if shape == "constant" or not info.constant_lr_only
    )


def split_baseline(name: str) -> tuple[str, str] | None:
    """Optimizer and shape of a baseline's name; None if the name is not one.

    >>> split_baseline("sgd_nesterov_one_cycle"), split_baseline("adamw")
    (('sgd_nesterov', 'one_cycle'), None)
    """
    if name not in baseline_names():
        return None
    return next(
        (optimizer, shape) for optimizer in OPTIMIZERS for shape in LR_SHAPES if f"{optimizer}_{shape}" == name
    )


def is_schedule_path(name: str) -> bool:
    """Whether a baseline is given as a file."""
    return name.endswith(_SUFFIXES)
