"""What holds for every trainer of spans, as checks of one training function."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import LrShape, Schedule
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.request import span_request
from mbo_search.train.foreign.result import SpanResult
from tests.helpers.schedules import stage

LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})


def full_stage(name: str, share: float, optimizer: str = "adamw", **fields):
    """A stage with all settings of its optimizer."""
    hparams = {key: hparam.default for key, hparam in OPTIMIZERS[optimizer].hparams.items()}
    return stage(name, share, optimizer=optimizer, **{"hparams": hparams, "lr": 0.01, **fields})


def one_stage(**fields) -> Schedule:
    return Schedule(stages=(full_stage("all", 1.0, **fields),))


@dataclass
class Trained:
    """How a call ended."""

    result: SpanResult | None
    state: Path
    lines: list = field(default_factory=list)

    @property
    def val_loss(self):
        return self.result if isinstance(self.result, float) else self.result.val_loss


class Spans:
    """Calls of a training function for parts of one schedule.

    Args:
        train: The training function.
        folder: An empty folder.
        schedule: The schedule; each of its shares is a multiple of 1 / segments.
        segments: Grid segments, of `steps` steps each.
    """

    def __init__(self, train, folder, schedule: Schedule, *, segments=4, steps=3, batch_tokens=32):
        self._train = train
        self._folders = (folder / f"call-{number}" for number in itertools.count())
        budget = BudgetSteps(num_segments=segments, steps_per_segment=steps, batch_tokens=batch_tokens)
        self._segments = cut(schedule, budget)
        self._budget = budget

    def request(self, first=0, last=None, seed=1):
        segments = self._segments[first:last]
        key = f"key-{seed}-{segments[-1].index}"
        return span_request(segments, key=key, seed=seed, total_steps=self._budget.total_steps)

    def train(self, request, state_in=None, *, partial=None, stop_after=None) -> Trained:
        """Call it; with `stop_after` it is asked to stop once that many steps have been told or asked for."""
        folder = next(self._folders)
        state_out, partial = folder / "out", partial or folder / "partial"
        state_out.mkdir(parents=True)
        partial.mkdir(exist_ok=True)
        lines = []
        asked = itertools.count()
        call = SpanCall(
            request=request,
            state_in=state_in,
            state_out=state_out,
            partial=partial,
            _tell=lines.append,
            _stop=lambda: stop_after is not None and next(asked) >= stop_after,
        )
        return Trained(self._train(call), state_out, lines)


def check_trainer(spans: Spans, middle: int, interrupted_after: int, folder: Path) -> None:
    """Check that states carry all that matters.

    Args:
        spans: The training function with a schedule of several stages.
        middle: A grid point within it.
        interrupted_after: Times that `should_stop` says no before it says yes, after the middle.
        folder: Kept between two attempts.
    """
    whole = spans.train(spans.request())
    prefix = spans.train(spans.request(0, middle))
    rest = spans.request(middle)
    first, second = (spans.train(rest, prefix.state) for _ in range(2))
    assert first.val_loss == second.val_loss, "the same state twice gives two results"
    assert first.val_loss == whole.val_loss, "a prefix and the rest are not the whole"
    assert spans.train(spans.request(seed=2)).val_loss != whole.val_loss, "the seed does not reach the training"

    folder.mkdir()
    stopped = spans.train(rest, prefix.state, partial=folder, stop_after=interrupted_after)
    assert stopped.result is None, "it was asked to stop and went on"
    done = [line.step for line in stopped.lines]
    assert max(done, default=0) < rest.last_step
    resumed = spans.train(rest, prefix.state, partial=folder)
    assert resumed.val_loss == whole.val_loss, "interrupted training is not uninterrupted training"
    repeated = {line.step for line in resumed.lines if line.train_loss is not None} & set(done)
    assert not repeated, f"steps {sorted(repeated)} are trained again"


def check_parts_are_measured(spans: Spans) -> None:
    """Check that a request of whole stages tells the loss at the end of each, as shorter requests do."""
    whole = spans.train(spans.request())
    request = spans.request()
    told = {line.step: line.val_loss for line in whole.lines if line.val_loss is not None}
    for step in request.evaluated_steps[:-1]:
        assert step in told, f"no validation loss after step {step}"
