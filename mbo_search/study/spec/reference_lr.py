"""Reference learning rates: the peak that works untuned for an optimizer at a model's width."""

from __future__ import annotations

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.study import StudySpec
from mbo_search.units import round_significant

CATALOGUE_WIDTH = 256
"""Model width at which the catalogue's learning rates hold."""

CONTINUED_ADAMW_LR = 1.0e-4
"""AdamW's peak when training goes on from pretrained weights.

It lies between the last rate of a pretraining, from which Parmar et al. 2024 (arXiv:2407.07263) go on, and the peak
of the pretraining, to which Ibrahim et al. 2024 (arXiv:2403.08763) warm up again where the new text is far from the
old one. The learning rate is to be searched around it: which one is right depends on that distance.
"""

LORA_LR_FACTOR = 10.0
"""Learning rate of adapters over that of the weights beside which they stand.

Schulman et al. 2025 (LoRA Without Regret) found the best rates of adapters about ten times as high as those of full
fine-tuning, for many models and ranks; Biderman et al. 2024 (arXiv:2405.09673) found them higher by an order of
magnitude as well.
"""

LR_DIGITS = 4
"""Significant digits of every absolute learning rate."""


def reference_lr(study: StudySpec, optimizer: str) -> float:
    """Reference learning rate of an optimizer for a study.

    The study's own `reference_lr` counts as it stands. The catalogue's is scaled from width 256 by
    (256 / width) ** width_exponent and rounded to 4 significant digits. For pretrained weights it is AdamW's peak
    of continued training times the ratio of the optimizers in the catalogue, whatever the width: a starting point.
    It is ten times as high where the study puts adapters beside the weights.

    Args:
        study: Gives the model's width and its own reference learning rates.
        optimizer: Name in the catalogue.
    """
    if optimizer in study.reference_lr:
        return study.reference_lr[optimizer]
    info = OPTIMIZERS[optimizer]
    if study.model.starts_trained:
        ratio = info.reference_lr / OPTIMIZERS["adamw"].reference_lr
        factor = 1.0 if study.model.lora is None else LORA_LR_FACTOR
        return round_significant(ratio * CONTINUED_ADAMW_LR * factor, LR_DIGITS)
    factor = (CATALOGUE_WIDTH / (study.model.reference_width or CATALOGUE_WIDTH)) ** info.width_exponent
    return round_significant(info.reference_lr * factor, LR_DIGITS)


def reference_lrs(study: StudySpec) -> dict[str, float]:
    """Reference learning rate of every optimizer of the catalogue for a study.

    Args:
        study: Gives the model's width and its own reference learning rates.
    """
    return {name: reference_lr(study, name) for name in OPTIMIZERS}
