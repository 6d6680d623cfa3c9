"""A trial in the words of the exported program: stages in steps, resolved numbers, nothing of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.schedule_file import ScheduleFile
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.segments import Segment, cut
from mbo_search.train.setup.setup import TrainSetup

_REST_LR = "aux_lr_ratio"
_WITHOUT_BETAS = frozenset({"muon"})
"""Optimizers whose settings `beta1` and `beta2` are those of the part that they leave to AdamW."""

MEASURED_ONLY = frozenset({"ema"})
"""Regularizers that never move a weight, and that a program leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a program is written from, its data aside.

    Attributes:
        stages: The stages in force, as the program states them.
        pairs: Optimizers between which a parameter's state is carried.
        model: The decoder.
        setup: How it is trained.
        seed: Of the first weights, the order of the text, and noise.
    """

    stages: tuple[Mapping[str, Any], ...]
    pairs: tuple[tuple[str, str], ...]
    model: ModelSpec
    setup: TrainSetup
    seed: int

    @property
    def optimizers(self) -> frozenset[str]:
        """Every optimizer that updates a parameter."""
        return frozenset(name for stage in self.stages for name in stage["optimizers"])


def recipe_of(file: ScheduleFile, setup: TrainSetup) -> Recipe:
    """Write a schedule down in steps.

    Raises:
        StudyError: If it does not fit the budget's grid.
    """
    assert isinstance(setup.model, ModelSpec), "other models are refused before"
    segments = cut(file.schedule, setup.budget())
    stages = [_stage([*group]) for _, group in groupby(segments, key=lambda segment: segment.stage_index)]
    return Recipe(
        stages=tuple(stages),
        pairs=tuple(dict.fromkeys(_pairs(stages))),
        model=setup.model,
        setup=setup,
        seed=file.provenance.seed,
    )


def acting_optimizers(optimizer: str) -> tuple[str, ...]:
    """An optimizer, and the one that it leaves a part of the parameters to.

    >>> acting_optimizers("muon"), acting_optimizers("lion")
    (('muon', 'adamw'), ('lion',))
    """
    auxiliary = OPTIMIZERS[optimizer].auxiliary
    return (optimizer,) if auxiliary is None else (optimizer, auxiliary)


def _stage(segments: Sequence[Segment]) -> dict[str, Any]:
    first, stage = segments[0], segments[0].stage
    decays = OPTIMIZERS[stage.optimizer].decoupled_decay
    warmup = {"warmup_steps": first.clock.warmup_steps} if first.clock.warmup_steps else {}
    return {
        "name": stage.name,
        "steps": first.clock.stage_steps,
        **({"hand_over": "carry"} if first.hand_over in ("carry", "continue") else {}),
        "optimizers": _optimizers(stage),
        **_rest_lr_ratio(stage),
        "lr": {"peak": stage.lr, **warmup, "shape": stage.lr_shape.kind, **stage.lr_shape.hparams},
        "weight_decay": stage.weight_decay if decays else 0.0,
        "clip_norm": stage.clip_norm,
        "trainable": [_block(block) for blocks in stage.trainable.split("+") for block in _blocks(blocks)],
        **_groups(stage, decays=decays),
        **{one.kind: one.strength for one in stage.regularizers if one.kind not in MEASURED_ONLY},
    }


def _optimizers(stage: Stage) -> dict[str, dict[str, Any]]:
    """The stage's optimizer, and the one for what it leaves, with the arguments of their classes."""
    return {name: _arguments(name, stage) for name in acting_optimizers(stage.optimizer)}


def _arguments(name: str, stage: Stage) -> dict[str, Any]:
    """Settings of an optimizer under the names that its class gives them."""
    own = stage.hparams
    if name != stage.optimizer:
        return {"betas": [own["beta1"], own["beta2"]]}
    known = OPTIMIZERS[name].hparams
    named = [key for key in own if key != _REST_LR and not key.startswith("beta")]
    other = {key: int(own[key]) if known[key].whole else own[key] for key in named}
    betas = [value for key, value in sorted(own.items()) if key.startswith("beta")]
    return {**({"betas": betas} if betas and name not in _WITHOUT_BETAS else {}), **other}


def _rest_lr_ratio(stage: Stage) -> dict[str, Any]:
    """Learning rate of the auxiliary optimizer over the stage's, where it is another one."""
    ratio = stage.hparams.get(_REST_LR, 1.0)
    return {} if ratio == 1.0 else {"rest_lr_ratio": ratio}


def _groups(stage: Stage, *, decays: bool) -> dict[str, Any]:
    """What a stage says of kinds of blocks and of layers, as far as it does."""
    groups = {
        "lr_ratios": stage.lr_ratios,
        "decays": stage.weight_decays if decays else {},
        "layer_decay": stage.layer_decay,
    }
    return {name: value for name, value in groups.items() if value}


def _blocks(block: str) -> Sequence[str]:
    """A range of layers as its layers; any other block as it is."""
    if not block.startswith("layers:"):
        return [block]
    low, high = block.removeprefix("layers:").split("-")
    return [str(layer) for layer in range(int(low), int(high) + 1)]


def _block(block: str) -> str | int:
    return int(block) if block.isdigit() else block


def _pairs(stages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Old and new optimizer of each part of the parameters whose state is carried: matrices, and the rest."""
    for before, stage in pairwise(stages):
        if "hand_over" in stage:
            old, new = [*before["optimizers"]], [*stage["optimizers"]]
            yield old[0], new[0]
            yield old[-1], new[-1]
