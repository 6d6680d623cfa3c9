"""Proves that every `auto` is resolved into a number, that a setup survives JSON, and that what changes the last
bit changes the root key."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor import config as inductor

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import DataError, StudyError
from mbo_search.model.size import mlp_width
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.running import ResourcesSpec
from mbo_search.study.spec.sections.searching import SearchSpec
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.study import StudySpec
from mbo_search.system.cores import available_cores, quota_cores
from mbo_search.train.compiled import compiler_here
from mbo_search.train.setup.probe import faster_precision, fastest_micro_batch, prober
from mbo_search.train.setup.resolve import numerics_here, resolve_setup
from mbo_search.train.setup.setup import TrainSetup


def study(**changes: object) -> StudySpec:
    values: dict[str, object] = {
        "study": "tiny",
        "data": DataSpec(source=("docs",)),
        "model": ModelSpec(layers=1, width=16, heads=1, context=16),
        "budget": BudgetSpec(tokens=10_000, grid=0.1),
        "train": TrainSpec(batch_tokens=96),
        "evaluation": EvaluationSpec(tokens=512, points=5),
        "stages": (StageSpace(name="a", share=(0.3, 0.5)), StageSpace(name="b", share="rest")),
    }
    return StudySpec.model_validate(values | changes)


def test_every_auto_becomes_a_value(data: PreparedData) -> None:
    setup = resolve_setup(study(), data, workers=1)
    assert setup.micro_batch in (1, 2, 4, 6)
    assert setup.precision in ("float32", "bfloat16")
    assert setup.threads == available_cores()
    assert setup.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert setup.budget().total_tokens == 10 * 10 * 96
    assert setup.branch_points == (3, 5)
    assert setup.data_fingerprint == data.metadata.fingerprint
    assert setup.numerics["torch"] == torch.__version__
    assert numerics_here(setup) == setup.numerics


def test_what_is_computed_again_is_named_where_it_is_asked_for_only(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, device="cpu")
    plain = resolve_setup(study(train=train), data, workers=1)
    recomputing = train.model_copy(update={"gradient_checkpointing": True})
    setup = resolve_setup(study(train=recomputing), data, workers=1)
    assert setup.gradient_checkpointing
    assert setup.numerics == plain.numerics | {"gradient_checkpointing": "true"}
    assert "gradient_checkpointing" not in plain.model_dump(mode="json")
    assert "gradient_checkpointing" not in train.model_dump(mode="json")
    assert TrainSetup.model_validate_json(setup.model_dump_json()) == setup


def test_what_the_study_says_is_not_measured(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="bfloat16", threads=5, device="cpu")
    setup = resolve_setup(study(train=train), data, workers=2)
    assert (setup.micro_batch, setup.precision, setup.threads, setup.device) == (3, "bfloat16", 5, "cpu")


def test_threads_are_shared_among_workers(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32")
    many = resolve_setup(study(train=train), data, workers=64)
    assert many.threads == 1


def test_a_setup_survives_json(setup: TrainSetup) -> None:
    assert TrainSetup.model_validate_json(setup.model_dump_json()) == setup


@pytest.mark.parametrize(
    ("train", "key", "rule"),
    [
        (TrainSpec(batch_tokens=100), "train.batch_tokens", "must be a multiple of model.context, 16 (such as 96)"),
        (TrainSpec(batch_tokens=96, micro_batch=7), "train.micro_batch", "must lie between 1 and the 6 sequences"),
        (TrainSpec(batch_tokens=96, micro_batch=0), "train.micro_batch", "must lie between 1 and the 6 sequences"),
    ],
)
def test_batches_that_do_not_fit_are_user_errors(data: PreparedData, train: TrainSpec, key: str, rule: str) -> None:
    with pytest.raises(StudyError) as caught:
        resolve_setup(study(train=train), data, workers=1)
    assert key in str(caught.value)
    assert rule in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_a_user_error(data: PreparedData) -> None:
    with pytest.raises(StudyError, match="needs a GPU that torch sees"):
        resolve_setup(study(train=TrainSpec(batch_tokens=96, device="cuda")), data, workers=1)


def test_too_little_validation_text_is_a_user_error(data: PreparedData) -> None:
    with pytest.raises(DataError, match="validation split"):
        resolve_setup(study(evaluation=EvaluationSpec(tokens=10**6)), data, workers=1)


CHANGES = {
    "model": ModelSpec(layers=3, width=32, heads=2, context=16),
    "vocab_size": 300,
    "data_fingerprint": "other",
    "block_tokens": 32,
    "steps_per_segment": 3,
    "numerics": {"torch": "another"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_may_change_the_weights_changes_the_root_key(setup: TrainSetup, name: str) -> None:
    assert setup.model_copy(update={name: CHANGES[name]}).root_key(0) != setup.root_key(0)


def test_a_default_that_is_written_out_changes_no_key(setup: TrainSetup) -> None:
    model = setup.model.model_copy(update={"mlp_width": mlp_width(setup.model)})
    assert setup.model_copy(update={"model": model}).root_key(0) == setup.root_key(0)
    wider = setup.model.model_copy(update={"mlp_width": mlp_width(setup.model) + 32})
    assert setup.model_copy(update={"model": wider}).root_key(0) != setup.root_key(0)


def test_the_seed_changes_the_root_key_and_what_is_measured_does_not(setup: TrainSetup) -> None:
    assert setup.root_key(0) != setup.root_key(1)
    measured = {"evaluation_tokens": 9, "points": 1, "windows_fingerprint": "v", "data_folder": "/elsewhere"}
    assert setup.model_copy(update=measured).root_key(0) == setup.root_key(0)


@pytest.mark.parametrize(
    ("points", "evaluated"),
    [(5, [1, 3, 5, 7, 9]), (10, list(range(10))), (3, [3, 6, 9]), (1, [9]), (20, list(range(10)))],
)
def test_evaluations_are_spread_over_the_grid(setup: TrainSetup, points: int, evaluated: list[int]) -> None:
    spread = setup.model_copy(update={"points": points})
    assert [index for index in range(10) if spread.is_evaluated(index)] == evaluated


def test_probing_measures_sizes_of_the_batch(setup: TrainSetup) -> None:
    threads = torch.get_num_threads()
    with prober(setup.model, setup.vocab_size, device="cpu", threads=1) as found:
        assert fastest_micro_batch(found, 6, "float32", probe_seconds=0.05) in (1, 2, 4, 6)
        assert fastest_micro_batch(found, 1, "float32", probe_seconds=0.05) == 1
        assert faster_precision(found, 6, probe_seconds=0.05) in ("float32", "bfloat16")
        assert found.seconds(2, "float32") > 0
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({}, None),
    ],
)
def test_a_containers_quota_is_seen(tmp_path: Path, files: dict[str, str], cores: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota_cores(tmp_path) == cores


def test_a_short_study_is_not_compiled_unless_it_asks_for_it(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, device="cpu", compile="auto")
    setup = resolve_setup(study(train=train, search=SearchSpec(trials=4)), data, workers=1)
    assert not setup.compiled
    assert "compiled" not in setup.numerics
    assert "compiled" not in setup.model_dump(mode="json")


@pytest.mark.skipif(compiler_here("cpu") is None, reason="no C++ compiler, or no headers of Python")
def test_compiled_passes_are_named_among_the_numerics(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, device="cpu", compile="on")
    setup = resolve_setup(study(train=train), data, workers=1)
    assert setup.compiled
    assert setup.numerics["compiled"] == compiler_here("cpu")
    assert TrainSetup.model_validate_json(setup.model_dump_json()) == setup


def test_what_cannot_be_compiled_is_refused_where_it_is_asked_for(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, compile="on")
    recomputing = train.model_copy(update={"gradient_checkpointing": True})
    with pytest.raises(StudyError, match=r"train\.compile.*gradient_checkpointing"):
        resolve_setup(study(train=recomputing), data, workers=1)
    automatic = recomputing.model_copy(update={"compile": "auto"})
    assert not resolve_setup(study(train=automatic), data, workers=1).compiled


@pytest.mark.skipif(compiler_here("cpu") is None, reason="no C++ compiler, or no headers of Python")
def test_a_long_study_is_compiled_if_measuring_says_so(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=6, precision="float32", threads=1, device="cpu", compile="auto")
    model = ModelSpec(layers=1, width=32, heads=4, context=16)
    before = counters["stats"]["unique_graphs"]
    setup = resolve_setup(study(train=train, model=model, search=SearchSpec(trials=1_000_000)), data, workers=1)
    assert counters["stats"]["unique_graphs"] == before + 1
    assert setup.compiled == ("compiled" in setup.numerics)


def test_a_machine_without_a_compiler_is_told_so(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, device="cpu", compile="on")
    without = inductor.patch({"cpp.cxx": ("/nowhere/g++",)})
    with without, pytest.raises(StudyError, match=r"train\.compile.*needs a C\+\+ compiler"):
        resolve_setup(study(train=train), data, workers=1)


def test_trials_of_several_processes_are_not_compiled(data: PreparedData) -> None:
    train = TrainSpec(batch_tokens=96, micro_batch=3, precision="float32", threads=1, device="cpu", compile="on")
    with pytest.raises(StudyError, match=r"train\.compile.*workers_per_trial 1"):
        resolve_setup(study(train=train, resources=ResourcesSpec(workers_per_trial=2)), data, workers=1)


@pytest.mark.skipif(compiler_here("cpu") is None, reason="no C++ compiler, or no headers of Python")
def test_training_goes_on_without_a_compiler_that_fails(data: PreparedData, tmp_path: Path) -> None:
    broken = tmp_path / "g++"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken && exit 0\nexit 1\n')
    broken.chmod(0o755)
    train = TrainSpec(batch_tokens=96, micro_batch=6, precision="float32", threads=1, device="cpu", compile="auto")
    model = ModelSpec(layers=1, width=24, heads=3, context=16)
    with inductor.patch({"cpp.cxx": (str(broken),)}):
        setup = resolve_setup(study(train=train, model=model, search=SearchSpec(trials=1_000_000)), data, workers=1)
    assert not setup.compiled
