"""Rules for weight decay as a timescale: stages that are compared with one strategy have it in one unit."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.spec.sections.choices import Timescale
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.study import StudySpec


def check_timescales(study: StudySpec) -> Iterator[Problem]:
    """Stages whose weights decay give their decay in the same unit, and that of a kind of block in all or none."""
    stages = [stage_with_defaults(study, index) for index in range(len(study.stages))]
    decaying = [(index, stage) for index, stage in enumerate(stages) if _decays(stage)]
    as_timescale = [isinstance(stage.weight_decay, Timescale) for _, stage in decaying]
    if not any(as_timescale):
        return
    for (index, _), is_timescale in zip(decaying, as_timescale, strict=True):
        if not is_timescale:
            rule = "is a plain number, while other stages give it as a timescale; it must be the same for all"
            hint = "write {timescale: ...} in every stage, or in stage_defaults"
            yield Problem(key=f"stages.{index}.weight_decay", rule=rule, hint=hint)
    kinds = sorted({kind for stage in stages for kind in _kinds_with_decay(stage)})
    for kind in kinds:
        for index, stage in decaying:
            if kind not in _kinds_with_decay(stage):
                rule = "is missing: other stages set it, and a timescale cannot stand in for it"
                hint = "set it in every stage, or in stage_defaults"
                yield Problem(key=f"stages.{index}.groups.{kind}.weight_decay", rule=rule, hint=hint)


def _decays(stage: StageSpace) -> bool:
    infos = [OPTIMIZERS.get(choice.name) for choice in stage.optimizer or ()]
    return any(info is not None and info.decoupled_decay for info in infos)


def _kinds_with_decay(stage: StageSpace) -> set[str]:
    groups = () if stage.groups is None else stage.groups
    return {kind for kind, block in groups if block is not None and block.weight_decay is not None}
