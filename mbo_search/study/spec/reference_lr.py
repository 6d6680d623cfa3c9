"""Reference learning rates: the peak that works untuned for an optimizer, for what a study trains."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.study import StudySpec
from mbo_search.units import round_significant

CATALOGUE_WIDTH = 256
"""Model width at which the catalogue's learning rates hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLr:
    """AdamW's peak for training that starts from pretrained weights.

    Attributes:
        adamw_lr: The learning rate.
        what: What it is for.
        sources: Where it comes from.
    """

    adamw_lr: float
    what: str
    sources: str


CONTINUED = StartLr(
    adamw_lr=1.0e-4,
    what="continued training of pretrained weights on running text",
    sources="Parmar et al. 2024, arXiv:2407.07263; Ibrahim et al. 2024, arXiv:2403.08763",
)
"""It lies between the last rate of a pretraining, from which Parmar et al. go on, and the peak of the pretraining,
to which Ibrahim et al. warm up again where the new text is far from the old one. The learning rate is to be
searched around it: which one is right depends on that distance."""

FINE_TUNED = StartLr(
    adamw_lr=3.0e-5,
    what="fine-tuning of pretrained weights on a task",
    sources="Devlin et al. 2019, arXiv:1810.04805; Touvron et al. 2023, arXiv:2307.09288",
)
"""The middle one of the three rates among which Devlin et al. choose for every task of a model of 0.1 billion
parameters or more; Touvron et al. fine-tune models of 7 billion and more at 2e-5."""

LORA_LR_FACTOR = 10.0
"""Learning rate of adapters over that of the weights beside which they stand.

Schulman et al. 2025 (LoRA Without Regret) found the best rates of adapters about ten times as high as those of full
fine-tuning, for many models and ranks; Biderman et al. 2024 (arXiv:2405.09673) found them higher by an order of
magnitude as well.
"""

LORA_SOURCES = "Schulman et al. 2025, thinkingmachines.ai/blog/lora; Biderman et al. 2024, arXiv:2405.09673"

LR_DIGITS = 4
"""Significant digits of every absolute learning rate."""


def start_lr(study: StudySpec) -> StartLr | None:
    """AdamW's reference for a study that starts from pretrained weights, adapters aside; None for fresh ones."""
    if not study.model.starts_trained:
        return None
    return CONTINUED if study.data.task is None else FINE_TUNED


def reference_lr(study: StudySpec, optimizer: str) -> float:
    """Reference learning rate of an optimizer for a study.

    The study's own `reference_lr` counts as it stands. The catalogue's is scaled from width 256 by
    (256 / width) ** width_exponent and rounded to 4 significant digits. For pretrained weights it is AdamW's peak
    of continued training, or of fine-tuning where the study has a task, times the ratio of the optimizers in the
    catalogue, whatever the width: a starting point. It is ten times as high where the study puts adapters beside
    the weights.

    Args:
        study: Gives the model, the task, and its own reference learning rates.
        optimizer: Name in the catalogue.
    """
    if optimizer in study.reference_lr:
        return study.reference_lr[optimizer]
    info, start = OPTIMIZERS[optimizer], start_lr(study)
    if start is not None:
        ratio = info.reference_lr / OPTIMIZERS["adamw"].reference_lr
        factor = 1.0 if study.model.lora is None else LORA_LR_FACTOR
        return round_significant(ratio * start.adamw_lr * factor, LR_DIGITS)
    factor = (CATALOGUE_WIDTH / (study.model.reference_width or CATALOGUE_WIDTH)) ** info.width_exponent
    return round_significant(info.reference_lr * factor, LR_DIGITS)


def reference_lrs(study: StudySpec) -> dict[str, float]:
    """Reference learning rate of every optimizer of the catalogue for a study.

    Args:
        study: Gives the model, the task, and its own reference learning rates.
    """
    return {name: reference_lr(study, name) for name in OPTIMIZERS}


def reference_reason(study: StudySpec) -> str:
    """Say which reference learning rates a study has, and why, in a sentence or two."""
    own = ", ".join(sorted(study.reference_lr))
    besides = f" Those of {own} are the study's own." if own else ""
    return f"Reference learning rates are {_origin(study)}.{besides}"


def _origin(study: StudySpec) -> str:
    start, width = start_lr(study), study.model.reference_width
    if start is None:
        scaled = "as no rule is known for this model" if width is None else f"scaled to width {width}"
        return f"the catalogue's, which hold at width {CATALOGUE_WIDTH}, {scaled}"
    whole = f"those of {start.what}: AdamW's {start.adamw_lr:g} ({start.sources})"
    others = "other optimizers' as much higher or lower as in the catalogue"
    if study.model.lora is None:
        return f"{whole}, and {others}"
    return f"{LORA_LR_FACTOR:g} times, for adapters ({LORA_SOURCES}), {whole}, and {others}"
