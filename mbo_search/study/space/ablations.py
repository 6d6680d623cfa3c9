"""One part of a schedule put back to what a baseline does: what attribution trains to say what each part is worth.

An ablation changes one stage, whole or in one respect, and as little else as keeps the schedule valid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mbo_search.errors import StudyError
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.build_stage import auto_rewarm
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage, make_groups
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut

Part = Literal["stage", "optimizer", "lr", "regularizers", "hand_over", "custom"]
"""Part that is put back: the whole strategy of a stage, its optimizer with the learning rate, the learning rate
alone, its regularizers with weight decay and clipping, what happens to the optimizer's state at its start, or the
settings of the user's own trainer."""

PARTS: tuple[Part, ...] = ("stage", "optimizer", "lr", "regularizers", "hand_over")
"""Parts that every stage has."""


def parts_of(stages: Sequence[Stage], common: Collection[str]) -> tuple[Part, ...]:
    """The parts of a schedule: `custom` is one only where a stage has settings of the user's own for itself."""
    return (*PARTS, "custom") if any(stage.custom.keys() - set(common) for stage in stages) else PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """A schedule with one part put back.

    Attributes:
        stage: Position of the stage, from 0.
        part: What was put back.
        schedule: The schedule.
        notes: What else had to change for it to be valid, in sentences.
    """

    stage: int
    part: Part
    schedule: Schedule
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Such as `stage 2 optimizer`."""
        return f"stage {self.stage + 1} {self.part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablations:
    """All ablations of a schedule.

    Attributes:
        found: Those that change something, by stage and part.
        impossible: Those that cannot be trained, with the reason.
    """

    found: tuple[Ablation, ...]
    impossible: tuple[tuple[Ablation, str], ...] = ()


def ablations_of(
    winner: Schedule,
    baseline: Schedule,
    reference_lrs: Mapping[str, float],
    budget: BudgetSteps,
    common: Collection[str] = (),
) -> Ablations:
    """Put each part of a schedule back to the baseline's, one at a time.

    Where the two have different numbers of stages, every stage of the winner is compared with the baseline's last
    one, keeps its own learning-rate shape, and the baseline counts as carrying its state on. A learning rate is put
    back relative to the optimizer's reference. What all stages must have in common, the settings named in `common`,
    stays the winner's.
    """
    found: list[Ablation] = []
    impossible: list[tuple[Ablation, str]] = []
    same_stages = len(winner.stages) == len(baseline.stages)
    for index, stage in enumerate(winner.stages):
        model = baseline.stages[index if same_stages else -1]
        kept: dict[str, object] = {
            "lr_shape": stage.lr_shape,
            "warmup": stage.warmup,
            "hand_over": "carry" if index else None,
            "adapter": stage.adapter,
        }
        custom = {**model.custom, **{name: stage.custom[name] for name in common if name in stage.custom}}
        model = model.model_copy(update={"custom": custom, **({} if same_stages else kept)})
        for part in parts_of(winner.stages, common):
            ablation = _ablation(winner, index, part, _put_back(stage, model, part, reference_lrs), budget=budget)
            if _segments(ablation.schedule, budget) is None:
                impossible.append((ablation, "its warm-up does not fit into the stage"))
            elif _differs(ablation.schedule, winner, budget):
                found.append(ablation)
    return Ablations(found=tuple(found), impossible=tuple(impossible))


def _put_back(stage: Stage, model: Stage, part: Part, reference_lrs: Mapping[str, float]) -> Stage:
    """The stage with one part of another; what makes it valid among its neighbors comes later."""
    if part == "stage":
        return model.model_copy(update={"name": stage.name, "share": stage.share})
    if part == "optimizer":
        decay = stage.weight_decay if OPTIMIZERS[model.optimizer].decoupled_decay else 0.0
        changes: dict[str, object] = {
            "optimizer": model.optimizer,
            "hparams": model.hparams,
            "lr": model.lr,
            "weight_decay": decay,
            **_rates_of(model, stage),
        }
    elif part == "lr":
        relative = model.lr / reference_lrs[model.optimizer]
        is_same = stage.optimizer == model.optimizer
        changes = {"lr": model.lr if is_same else relative * reference_lrs[stage.optimizer]}
        changes |= _rates_of(model, stage)
    elif part == "regularizers":
        decay = model.weight_decay if OPTIMIZERS[stage.optimizer].decoupled_decay else stage.weight_decay
        changes = {"regularizers": model.regularizers, "weight_decay": decay, "clip_norm": model.clip_norm}
        changes |= {"groups": make_groups(stage.lr_ratios, model.weight_decays)}
    elif part == "custom":
        changes = {"custom": model.custom}
    else:
        changes = {"hand_over": model.hand_over}
    return stage.model_copy(update=changes)


def _rates_of(model: Stage, stage: Stage) -> dict[str, object]:
    """Learning rates of parts of the model as another stage has them; weight decays stay."""
    return {"layer_decay": model.layer_decay, "groups": make_groups(model.lr_ratios, stage.weight_decays)}


def _ablation(winner: Schedule, index: int, part: Part, stage: Stage, *, budget: BudgetSteps) -> Ablation:
    """Place a changed stage, and adapt what no longer fits."""
    notes: list[str] = []
    stages = list(winner.stages)
    stages[index] = _with_fitting_shape(winner, index, stage, budget, notes)
    for place in (index, index + 1):
        if 0 < place < len(stages):
            stages[place] = _handed_over(
                stages[place - 1], stages[place], winner, place, budget=budget, notes=notes
            )
    return Ablation(stage=index, part=part, schedule=Schedule(stages=tuple(stages)), notes=tuple(notes))


def _with_fitting_shape(winner: Schedule, index: int, stage: Stage, budget: BudgetSteps, notes: list[str]) -> Stage:
    """Schedule-free optimizers take a constant learning rate; whatever ends a schedule must decay."""
    if OPTIMIZERS[stage.optimizer].constant_lr_only:
        if stage.lr_shape.kind == "constant":
            return stage
        notes.append(f"{stage.optimizer} takes a constant learning rate")
        return stage.model_copy(update={"lr_shape": LrShape(kind="constant")})
    placed = Schedule(stages=(*winner.stages[:index], stage, *winner.stages[index + 1 :]))
    segments = _segments(placed, budget)
    is_last = index == len(winner.stages) - 1
    if not is_last or segments is None or is_annealed(stage.optimizer, stage.lr_shape, segments[-1].clock):
        return stage
    notes.append(f"{stage.optimizer} needs a decay at the end, here a linear one")
    return stage.model_copy(update={"lr_shape": LrShape(kind="linear", hparams={"floor": 0.0})})


def _handed_over(
    previous: Stage, stage: Stage, winner: Schedule, place: int, *, budget: BudgetSteps, notes: list[str]
) -> Stage:
    """A stage with a hand-over that its optimizers allow; a changed one gets the automatic re-warm-up."""
    hand_over = stage.hand_over or "carry"
    if hand_over == "carry" and not can_carry(previous.optimizer, stage.optimizer):
        hand_over = "reset"
        notes.append(
            f"{stage.optimizer} begins with a reset, for it can take nothing over from {previous.optimizer}"
        )
    before = (winner.stages[place - 1].optimizer, winner.stages[place].optimizer, winner.stages[place].hand_over)
    if (previous.optimizer, stage.optimizer, hand_over) == before:
        return stage.model_copy(update={"hand_over": hand_over})
    handed_over = stage.model_copy(update={"hand_over": hand_over})
    return handed_over.model_copy(update={"warmup": auto_rewarm(previous, handed_over, budget)})


def _differs(schedule: Schedule, winner: Schedule, budget: BudgetSteps) -> bool:
    """Tell whether it trains differently: settings that nothing reads do not count."""
    mine, theirs = segment_keys("", cut(schedule, budget)), segment_keys("", cut(winner, budget))
    return mine[-1] != theirs[-1]


def _segments(schedule: Schedule, budget: BudgetSteps) -> tuple[Segment, ...] | None:
    try:
        return cut(schedule, budget)
    except StudyError:
        return None
