"""A schedule at another size than the one where it was found: what a rule carries over, and what stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.schedule_file import ScheduleFile, StudySections
from mbo_search.study.spec.reference_lr import LR_DIGITS
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.units import format_count, round_significant


def at_width(schedule: Schedule, *, found_width: int, width: int) -> Schedule:
    """The schedule with its learning rates carried to another model width by the catalogue's rule.

    A rate scales with (found_width / width) ** width_exponent of its optimizer, as the reference rates do; relative
    to the reference it stays what the search found. Tuned rates carry over between widths in this way where a model
    is parametrized for it (Yang et al. 2022, arXiv:2203.03466); here it is the better guess, not a guarantee.
    """
    stages = tuple(_at_width(stage, found_width / width) for stage in schedule.stages)
    return schedule.model_copy(update={"stages": stages})


def carried_over(found: ScheduleFile, wanted: ScheduleFile) -> tuple[str, ...]:
    """Say what changes with the size, and what is used as it was found although the size differs.

    Args:
        found: The schedule file as it was exported.
        wanted: The same with the settings of the final model.
    """
    return (*_rescaled(found, wanted), *_kept(found.study, wanted.study))


def _at_width(stage: Stage, ratio: float) -> Stage:
    definition = OPTIMIZERS[stage.optimizer]
    lr = round_significant(stage.lr * ratio**definition.width_exponent, LR_DIGITS)
    return stage if ratio == 1 else stage.model_copy(update={"lr": lr})


def _rescaled(found: ScheduleFile, wanted: ScheduleFile) -> Iterator[str]:
    before, after = found.study.model.reference_width, wanted.study.model.reference_width
    for old, new in zip(found.schedule.stages, wanted.schedule.stages, strict=True):
        if before == after:
            return
        exponent = OPTIMIZERS[old.optimizer].width_exponent
        rule = f"{old.optimizer} scales with width^-{exponent:g}" if exponent else f"{old.optimizer} keeps it"
        change = f"learning rate {old.lr:g} at width {before} becomes {new.lr:g} at width {after}"
        yield f"stage {old.name}: {change} ({rule})"


def _kept(found: StudySections, wanted: StudySections) -> Iterator[str]:
    """One sentence on the sizes for which no rule is known."""
    sizes = {
        "model.layers": (found.model.num_layers, wanted.model.num_layers),
        "model.context": (found.model.context, wanted.model.context),
        "budget.tokens": (found.budget.tokens, wanted.budget.tokens),
        "train.batch_tokens": (found.train.batch_tokens, wanted.train.batch_tokens),
    }
    changed = [f"{key} {_size(old)} (now {_size(new)})" for key, (old, new) in sizes.items() if old != new]
    if changed:
        yield (
            f"the recipe was found at {', '.join(changed)} and is used as it is: no rule carries learning rates, "
            "weight decay and shares over; a short search at the new size tells what they are worth there"
        )


def _size(number: int | None) -> str:
    """A size in words; None stands for all layers of a pretrained model."""
    return "all" if number is None else format_count(number)
