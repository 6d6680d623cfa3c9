"""The lines of a trial's log: what changes when a stage begins, and how far a span came."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.study.checks.written import shown
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import Segment
from mbo_search.train.execution.path import Span
from mbo_search.trial.reports import BoundaryReport
from mbo_search.units import format_count, format_seconds

_HAND_OVER = {
    "start": "fresh optimizer state",
    "continue": "optimizer state continues unchanged",
    "carry": "optimizer state carried over",
    "reset": "optimizer state reset",
}


def stage_line(previous: Stage | None, segment: Segment) -> str:
    """Describe what a stage changes."""
    stage, clock = segment.stage, segment.clock
    last_step = segment.stage_first_step + clock.stage_steps
    words = f"stage {segment.stage_index + 1} ({stage.name}), steps {segment.stage_first_step + 1} to {last_step}: "
    changes = list(_changes(_describe(previous) if previous else {}, _describe(stage)))
    changes.append(_HAND_OVER[segment.hand_over])
    if clock.warmup_steps:
        changes.append(f"warm-up over {clock.warmup_steps} steps")
    return words + "; ".join(changes)


def progress_line(span: Span, report: BoundaryReport) -> str:
    """Describe what training a span gave and took."""
    loss = "" if report.metrics is None else f", validation loss {report.metrics.loss:.4f}"
    seconds = report.cost.train_seconds
    speed = report.cost.executed_tokens / seconds if seconds > 0 else 0.0
    took = f"{format_seconds(seconds)}, {format_count(speed)} tokens/s"
    return f"step {report.step}, {format_count(span.end_tokens)} tokens{loss} ({took})"


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
    """A strategy in words by setting; a setting that is off has no entry."""
    words = {"optimizer": stage.optimizer}
    words |= {name: f"{value:g}" for name, value in sorted(stage.hparams.items())}
    words |= {"lr": f"{stage.lr:g}", "lr shape": _shape(stage), "weight decay": f"{stage.weight_decay:g}"}
    if stage.clip_norm is not None:
        words["clip norm"] = f"{stage.clip_norm:g}"
    words |= {} if stage.layer_decay is None else {"layer decay": f"{stage.layer_decay:g}"}
    words |= {f"lr ratio of {kind}": f"{ratio:g}" for kind, ratio in stage.lr_ratios.items()}
    words |= {f"weight decay of {kind}": f"{decay:g}" for kind, decay in stage.weight_decays.items()}
    words |= {regularizer.kind: f"{regularizer.strength:g}" for regularizer in stage.regularizers}
    words |= dimension_words(stage)
    words |= {name: shown(value) for name, value in stage.custom.items()}
    words["trainable"] = stage.trainable
    if stage.adapter is not None:
        words["adapter"] = f"rank {stage.adapter.rank}, alpha {stage.adapter.alpha:g}"
    return words


def _shape(stage: Stage) -> str:
    settings = ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}"
        for name, value in sorted(stage.lr_shape.hparams.items())
    )
    return f"{stage.lr_shape.kind} ({settings})" if settings else stage.lr_shape.kind
