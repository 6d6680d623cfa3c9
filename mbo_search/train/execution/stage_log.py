"""What changes when a stage begins, in plain words, for a trial's log."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import Segment

_HAND_OVER = {
    "start": "fresh optimizer state",
    "continue": "optimizer state goes on untouched",
    "carry": "optimizer state carried over",
    "reset": "optimizer state reset",
}


def stage_banner(previous: Stage | None, segment: Segment) -> str:
    """Say what a stage changes."""
    stage, clock = segment.stage, segment.clock
    last_step = segment.stage_first_step + clock.stage_steps
    words = f"stage {segment.stage_index + 1} ({stage.name}), steps {segment.stage_first_step + 1} to {last_step}: "
    changes = list(_changes(_describe(previous) if previous else {}, _describe(stage)))
    changes.append(_HAND_OVER[segment.hand_over])
    if clock.warmup_steps:
        changes.append(f"warm-up over {clock.warmup_steps} steps")
    return words + "; ".join(changes)


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if new is None:
            yield f"{name} off (was {old})"
        else:
            yield f"{name} {old} -> {new}" if old is not None else f"{name} {new}"


def _describe(stage: Stage) -> dict[str, str]:
    """A strategy in words by setting; what is not in force has no entry."""
    words = {"optimizer": stage.optimizer}
    words |= {name: f"{value:g}" for name, value in sorted(stage.hparams.items())}
    words |= {"lr": f"{stage.lr:g}", "lr shape": _shape(stage), "weight decay": f"{stage.weight_decay:g}"}
    if stage.clip_norm is not None:
        words["clip norm"] = f"{stage.clip_norm:g}"
    words |= {regularizer.kind: f"{regularizer.strength:g}" for regularizer in stage.regularizers}
    words["trainable"] = stage.trainable
    return words


def _shape(stage: Stage) -> str:
    settings = ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}"
        for name, value in sorted(stage.lr_shape.hparams.items())
    )
    return f"{stage.lr_shape.kind} ({settings})" if settings else stage.lr_shape.kind
