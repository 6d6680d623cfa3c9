"""Warnings about optimizers that a study offers where others found them to lose; a search may still try them."""

from __future__ import annotations

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.space import resolved_stages
from mbo_search.study.spec.study import StudySpec


def optimizer_warnings(study: StudySpec) -> tuple[str, ...]:
    """Say what speaks against optimizers of a study that starts from pretrained weights."""
    if not study.model.starts_trained:
        return ()
    offered = dict.fromkeys(choice.name for axes in resolved_stages(study) for choice in axes.optimizers)
    return tuple(
        f"{name} {OPTIMIZERS[name].pretrained_warning}; the search may try it all the same."
        for name in offered
        if OPTIMIZERS[name].pretrained_warning
    )
