"""The conformance suite of runners and training functions: what a search relies on when it shares their states."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.engine.searcher.suggest import ReferenceSuggest, draw
from mbo_search.study.files.files_named import with_base
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.study import Study
from mbo_search.train.execution.path import SchedulePath, Span, schedule_path
from mbo_search.train.execution.report_checks import wrong_report
from mbo_search.train.foreign.call import TrainingFunction
from mbo_search.train.runners import GivenRunner, runner_for, runner_numerics
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import BoundaryReport, Metrics, Node, StageRunner, Stop

MakeRunner = Callable[[Path], StageRunner]
"""Makes a runner with a scratch folder; a second one with the same folder goes on where the first one stopped."""


def check_runner(
    study: Study | Mapping[str, object],
    folder: Path,
    *,
    runner: StageRunner | None = None,
    train: TrainingFunction | None = None,
) -> None:
    """Run every check on a trainer with the first schedule of a study, which should take seconds.

    The same call twice gives the same losses; a span in two pieces is the span in one; a call that
    is asked to stop stops before the next step, and the call that repeats it gives what an uninterrupted one gives;
    a state is only read; evaluating a state gives what training up to there gave.

    Args:
        study: A small study whose trainer keeps states, with at least two stages of two grid segments; its sections
            may leave out `data` and `model`.
        folder: An empty folder to work in.
        runner: The runner; None: `train`, or the one that the study names.
        train: A training function.

    Raises:
        AssertionError: If a check does not hold; it says which.
        UserError: If the study is wrong.
    """
    given: GivenRunner | None = runner if train is None else train
    setup, path = _small_schedule(study, given)
    check_spans(lambda scratch: runner_for(setup, scratch, given=given), path, setup.root_key(path.seed), folder)


def check_spans(make: MakeRunner, path: SchedulePath, root_key: str, folder: Path) -> None:
    """Run every check on the runners that a function makes, along one schedule.

    Args:
        make: Makes them.
        path: The schedule; its first two stages have at least two segments each.
        root_key: Key of the untrained model.
        folder: An empty folder to work in.

    Raises:
        AssertionError: If a check does not hold; it says which.
    """
    checker = _Checker(make, path, root_key, folder)
    first, second = _stages(path)[:2]
    node = checker.trained("first", first, None)
    checker.check_repeat(first, None, node)
    checker.check_pieces(first, node)
    checker.check_stop(first, None, node)
    end = checker.trained("second", second, node)
    checker.check_repeat(second, node, end)
    checker.check_stop(second, node, end)
    checker.check_measure(first, node)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """A state with what was reported of it."""

    node: Node
    report: BoundaryReport


class _Checker:
    def __init__(self, make: MakeRunner, path: SchedulePath, root_key: str, folder: Path) -> None:
        self._make = make
        self._path = path
        self._root_key = root_key
        self._folder = folder

    def trained(self, name: str, span: Span, before: _Trained | None) -> _Trained:
        """Train a span in one call; the state before it must not change."""
        known = None if before is None else _digest(before.node.path)
        state_dir, report = self._run(name, span, before, _never)
        assert report.reason is None, f"{name}: the call came back early: {report.reason} {report.message}"
        assert state_dir is not None, f"{name}: the call gave no state"
        wrong = wrong_report(span, report)
        assert wrong is None, f"{name}: {wrong}"
        assert before is None or _digest(before.node.path) == known, f"{name}: the state before it was changed"
        return _Trained(node=Node(key=span.key, path=state_dir), report=report)

    def check_repeat(self, span: Span, before: _Trained | None, known: _Trained) -> None:
        """The same call gives the same losses."""
        again = self.trained("repeated", span, before)
        _same(known.report, again.report, "the same call twice")

    def check_pieces(self, span: Span, known: _Trained) -> None:
        """A span that is cut in two is the same training."""
        cut = len(span.segments) // 2
        assert cut, "the first stage has at least two grid segments"
        head = Span(
            segments=span.segments[:cut],
            key=self._path.keys[span.segments[cut - 1].index],
            end_tokens=self._path.tokens_done[cut - 1],
        )
        tail = replace(span, segments=span.segments[cut:])
        rest = self.trained("rest", tail, self.trained("beginning", head, None))
        _same_metrics(known.report.metrics, rest.report.metrics, "a span in two calls and in one")

    def check_stop(self, span: Span, before: _Trained | None, known: _Trained) -> None:
        """A call stops when it is asked to, and the next one finishes its work."""
        _, report = self._run("stopped", span, before, lambda: True)
        assert report.reason == "signal", f"a call that is asked to stop at once ended with {report.reason}"
        num_steps = span.segments[-1].last_step - span.segments[0].first_step
        _, report = self._run("stopped", span, before, _after(num_steps // 2))
        assert report.reason in ("signal", None), f"a stopped call ended with {report.reason}: {report.message}"
        resumed = self.trained("stopped", span, before)
        _same(known.report, resumed.report, "a call that was stopped and repeated, and an uninterrupted one")

    def check_measure(self, span: Span, known: _Trained) -> None:
        """Evaluating a state gives what training up to there gave."""
        metrics = self._make(self._folder / "measured").measure(known.node, span.segments[-1])
        if metrics is not None:
            _same_metrics(known.report.metrics, metrics, "evaluating a state and training up to it")

    def _run(
        self, name: str, span: Span, before: _Trained | None, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        runner = self._make(self._folder / f"{name}-{span.segments[0].first_step}")
        return runner.run(None if before is None else before.node, span.segments, self._path.seed, stop)


def _small_schedule(
    study: Study | Mapping[str, object], given: GivenRunner | None
) -> tuple[TrainSetup, SchedulePath]:
    """The setup of a study, and its schedule with everything at its reference."""
    sections = study
    if isinstance(sections, Mapping):
        names_trainer = given is not None and not {"data", "model", "runner"} & sections.keys()
        sections = Study.model_validate(
            {**sections, "runner": {"python": "trainer"}} if names_trainer else dict(sections)
        )
    asked = with_base(sections, Path())
    assert asked.runner is not None, "the suite is for trainers that are not built in"
    setup = resolve_setup(asked, None, workers=1)
    setup = setup.model_copy(update={"numerics": setup.numerics | runner_numerics(given)})
    schedule = draw(functools.partial(propose, staged_space(asked)), ReferenceSuggest("adamw")).schedule
    return setup, schedule_path(schedule, setup, asked.seed)


def _stages(path: SchedulePath) -> list[Span]:
    """A span for each stage."""
    ends = [segment.index + 1 for segment in path.segments if segment.ends_stage]
    assert len(ends) > 1, "the suite needs a schedule of at least two stages"
    return [
        Span(segments=path.segments[first:last], key=path.keys[last - 1], end_tokens=path.tokens_done[last - 1])
        for first, last in zip([0, *ends], ends, strict=False)
    ]


def _never() -> bool:
    return False


def _after(num_polls: int) -> Stop:
    """Stop from the given poll on."""
    polls = iter(range(num_polls))
    return lambda: next(polls, None) is None


def _same(one: BoundaryReport, other: BoundaryReport, what: str) -> None:
    _same_metrics(one.metrics, other.metrics, what)
    losses = [[(point.step, point.train_loss, point.loss) for point in report.curve] for report in (one, other)]
    assert losses[0] == losses[1], f"{what}: the learning curves differ"


def _same_metrics(one: Metrics | None, other: Metrics | None, what: str) -> None:
    assert one is not None, f"{what}: nothing was evaluated"
    assert other is not None, f"{what}: nothing was evaluated"
    assert one == other, f"{what}: the evaluations differ: {one} and {other}"


def _digest(folder: Path) -> str:
    """Digest of all that is in a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
