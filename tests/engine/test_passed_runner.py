"""Proves that a runner or a sampler that is passed in is used, named, and never mixed with the built-in ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest

from mbo_search.engine.fork import fork_study
from mbo_search.engine.open_run import create_run
from mbo_search.engine.plan import make_plan
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.segments import Segment
from mbo_search.testing.studies import tiny_study
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, CurvePoint, Metrics, Node, Stop

CONFIRM = 'confirm={"top": 1, "seeds": 2, "attribution": false, "equivalent_tokens": true}'


class Falling:
    """A runner whose loss falls with every step, faster with a larger learning rate; its state is one number."""

    version = "1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.num_calls = 0

    def has_begun(self, key: str) -> bool:
        return False

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        self.num_calls += 1
        loss = 3.0 + seed / 1e6 if node is None else json.loads((node.path / "loss.json").read_text())
        points = []
        for segment in segments:
            loss -= 1e-3 * segment.num_steps * min(1.0, 10 * segment.lr(segment.first_step + 1))
            points.append(self._point(segment, loss))
        folder = self.folder / str(self.num_calls)
        folder.mkdir(parents=True)
        (folder / "loss.json").write_text(json.dumps(loss))
        last = segments[-1]
        cost = Cost(executed_tokens=sum(segment.tokens for segment in segments), train_seconds=5.0)
        metrics = self._metrics(loss) if last.ends_stage else None
        return folder, BoundaryReport(step=last.last_step, cost=cost, metrics=metrics, curve=tuple(points))

    def measure(self, node: Node, segment: Segment) -> Metrics:
        return self._metrics(json.loads((node.path / "loss.json").read_text()))

    def _metrics(self, loss: float) -> Metrics:
        return Metrics(loss=loss, accuracy=0.5, bits_per_byte=loss / 3, num_tokens=256)

    def _point(self, segment: Segment, loss: float) -> CurvePoint:
        return CurvePoint(
            step=segment.last_step,
            tokens=segment.last_step * segment.batch_tokens,
            lr=segment.lr(segment.last_step - 1),
            train_loss=loss,
            loss=loss if segment.index % 2 else None,
            grad_norm=1.0,
            metrics=self._metrics(loss) if segment.ends_stage else None,
        )


class Rising(Falling):
    """Another runner."""


@pytest.fixture
def options(tiny_root, tmp_path):
    return RunOptions(cache=tiny_root / "cache", backend="local", runner=Falling(tmp_path / "states"))


@pytest.fixture
def searched(tiny_root, tmp_path, options):
    return run_study(tiny_study(tiny_root, CONFIRM), tmp_path / "run", options)


def test_a_passed_runner_trains_everything_and_is_named_in_the_setup(searched, options, tiny_root, tmp_path):
    assert (searched.num_complete, searched.num_failed, searched.ended_by) == (10, 0, "trials")
    assert searched.setup.numerics["runner"] == "Falling 1"
    assert options.runner.num_calls > 6
    assert all(record.val_loss < 3.1 for record in searched.run.records())
    fresh = [record for record in searched.run.records() if record.arm == "confirm"]
    assert {record.test_loss for record in fresh} == {None}, "the built-in evaluation cannot read its states"
    ours = create_run(tiny_study(tiny_root), tmp_path / "ours", RunOptions(cache=options.cache))
    assert "runner" not in ours.setup.numerics
    assert ours.setup.root_key(0) != searched.setup.root_key(0)


def test_a_study_continues_only_with_the_runner_that_it_began_with(searched, options, tmp_path):
    path = searched.run.path
    with pytest.raises(RunDirectoryError, match="was Falling 1 when the study began"):
        resume_study(path, RunOptions(cache=options.cache, backend="local"), ["search.trials=7"])
    other = RunOptions(cache=options.cache, backend="local", runner=Rising(tmp_path / "other"))
    with pytest.raises(RunDirectoryError, match="runner"):
        resume_study(path, other, ["search.trials=7"])
    assert resume_study(path, options, ["search.trials=7"]).num_complete > searched.num_complete
    forked = fork_study(path, tmp_path / "fork", ["search.trials=8"], cache=options.cache)
    assert len(forked.reused) == 7
    assert RunDirectory.open(forked.run).setup().numerics["runner"] == "Falling 1"


def test_a_plan_measures_the_passed_runner(tiny_root, options):
    plan = make_plan(tiny_study(tiny_root), cache=options.cache, backend="local", runner=options.runner)
    assert (plan.pace.seconds, options.runner.num_calls) == (5.0, 1)


@pytest.mark.parametrize("searcher", [optuna.samplers.RandomSampler(seed=5), optuna.samplers.QMCSampler])
def test_a_passed_sampler_proposes(tiny_root, tmp_path, options, searcher):
    study = tiny_study(tiny_root)
    given = searcher if isinstance(searcher, optuna.samplers.BaseSampler) else lambda seed: searcher(seed=seed)
    drawn = []
    for name, chosen in (("own", None), ("given", given)):
        one = RunOptions(
            cache=options.cache, backend="local", runner=Falling(tmp_path / f"{name}-states"), searcher=chosen
        )
        run = run_study(study, tmp_path / name, one).run
        drawn.append([record.params for record in run.records()])
    assert len(drawn[1]) == 6
    assert drawn[0] != drawn[1]
