"""Proves that a trained model's metrics are those of its answers, on the examples that they are meant for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.task import TaskSpec
from mbo_search.train.saved_state import load_model
from mbo_search.train.scoring import score_model, score_state
from mbo_search.train.setup.eval_text import judged_examples, searched_examples, validation_use
from mbo_search.train.setup.setup import TrainSetup
from tests.train.builder import LINEAR, make_schedule, make_stage, run_whole, tiny_setup

CONTEXT = 16
METRICS = ("accuracy", "exact_match", "macro_f1")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    root = tmp_path_factory.mktemp("labelled")
    rows = [{"text": f"{number:03d}", "label": "odd" if number % 2 else "even"} for number in range(400)]
    (root / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    spec = DataSpec(
        source=(str(root / "rows.jsonl"),),
        tokenizer=TokenizerSpec(kind="bytes"),
        task=TaskSpec(text="text", label="label"),
        validation_share=0.2,
    )
    return prepare(spec, root / "cache")


@pytest.fixture(scope="module")
def trained(labelled: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainSetup, Path]:
    use = validation_use(labelled, context=CONTEXT, num_tokens=400)
    setup = tiny_setup(
        labelled,
        packing=False,
        evaluation_tokens=400,
        windows_fingerprint=use.fingerprint,
        judged_fingerprint=use.judged_fingerprint,
    )
    scratch = tmp_path_factory.mktemp("scratch")
    _, path = run_whole(setup, make_schedule(make_stage("all", 1.0, "adamw", lr_shape=LINEAR)), scratch)
    from mbo_search.train.torch_runner import TorchStageRunner

    folder, _ = TorchStageRunner(setup, scratch / "again").run(None, path.segments, 3, lambda: False)
    assert folder is not None
    return setup, folder


def test_a_state_is_scored_as_its_model_is(labelled: PreparedData, trained: tuple[TrainSetup, Path]) -> None:
    setup, folder = trained
    examples = searched_examples(labelled, setup)
    asked = {"examples": examples, "metrics": METRICS, "generate": GenerateSpec(max_new_tokens=6)}
    first = score_state(folder, setup, labelled, **asked)
    again = score_model(load_model(folder, setup), labelled, **asked)
    assert first.scores == again.scores
    assert first.answers == again.answers
    assert set(first.scores) == set(METRICS)
    assert len(first.chosen) == len(examples)
    right = [labelled.metadata.labels[number] for number in first.chosen]
    assert set(right) <= {"even", "odd"}


def test_judged_examples_are_none_of_the_searched_ones(
    labelled: PreparedData, trained: tuple[TrainSetup, Path]
) -> None:
    setup, _ = trained
    judged = judged_examples(labelled, setup)
    assert judged is not None
    assert not set(judged.starts.tolist()) & set(searched_examples(labelled, setup).starts.tolist())
