"""Proves that examples of a task train like running text: what is asked counts, in any number of micro-batches,
and what was interrupted ends as what was not, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mbo_search.data.batches import IGNORED
from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.task import TaskSpec
from mbo_search.train.evaluation import evaluate
from mbo_search.train.held_out import judge
from mbo_search.train.loop import StepContext, StepReport, train_segment
from mbo_search.train.saved_state import fresh_state
from mbo_search.train.setup.eval_text import (
    evaluation_rows,
    judged_rows,
    rows_of_test_split,
    training_stream,
    validation_use,
)
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, run_whole, tiny_setup

SEED = 3
CONTEXT = 32
SCHEDULE = make_schedule(
    make_stage("warm", 0.3, "muon", regularizers=(Regularizer(kind="label_smoothing", strength=0.1),)),
    make_stage("cool", 0.7, "adamw", hand_over="carry", lr_shape=LINEAR),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    root = tmp_path_factory.mktemp("pairs")
    rows = [{"question": f"{number} + 1", "answer": str(number + 1)} for number in range(400)]
    (root / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    spec = DataSpec(
        source=(str(root / "pairs.jsonl"),),
        tokenizer=TokenizerSpec(kind="bytes"),
        task=TaskSpec(prompt="question", completion="answer"),
        validation_share=0.15,
    )
    return prepare(spec, root / "cache")


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "alone"])
def setup(request: pytest.FixtureRequest, pairs: PreparedData) -> TrainSetup:
    use = validation_use(pairs, context=CONTEXT, num_tokens=512)
    assert use.judged is not None
    model = tiny_setup(pairs, packing=True).model.model_copy(update={"context": CONTEXT})
    return tiny_setup(
        pairs,
        model=model,
        packing=request.param,
        block_tokens=CONTEXT,
        batch_tokens=6 * CONTEXT,
        evaluation_tokens=512,
        windows_fingerprint=use.fingerprint,
        judged_fingerprint=use.judged_fingerprint,
    )


def first_step(pairs: PreparedData, setup: TrainSetup) -> StepReport:
    state = fresh_state(setup, SEED)
    context = StepContext(setup=setup, stream=training_stream(pairs, setup, SEED), seed=SEED)
    schedule = make_schedule(make_stage("only", 1.0, "adamw"))
    from mbo_search.study.spec.segments import cut

    reports: list[StepReport] = []
    segment = cut(schedule, setup.budget())[0]
    train_segment(state, segment, context, stop=lambda: len(reports) == 1, observe=reports.append)
    return reports[0]


def test_a_step_has_the_mean_loss_of_what_is_asked(pairs: PreparedData, setup: TrainSetup) -> None:
    batch = training_stream(pairs, setup, SEED).batch(0, 6, CONTEXT)
    model = fresh_state(setup, SEED).model
    logits = model(torch.from_numpy(batch.inputs))
    targets = torch.from_numpy(batch.targets)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    assert first_step(pairs, setup).loss == pytest.approx(expected.item(), rel=1e-6)
    assert 0 < batch.num_targets < batch.targets.size


def test_micro_batches_of_few_answers_weigh_as_they_should(pairs: PreparedData, setup: TrainSetup) -> None:
    """Rows hold different numbers of answers; each answer counts the same."""
    whole, single = (
        first_step(pairs, setup.model_copy(update={"micro_batch": micro_batch})) for micro_batch in (6, 1)
    )
    assert single.loss == pytest.approx(whole.loss, rel=1e-6)
    assert single.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)


def test_interrupted_at_every_boundary_is_uninterrupted(setup: TrainSetup, tmp_path: Path) -> None:
    whole, path = run_whole(setup, SCHEDULE, tmp_path / "whole", seed=SEED)
    for cut_at in range(1, len(path.segments), 3):
        first, _ = TorchStageRunner(setup, tmp_path / "a").run(None, path.segments[:cut_at], SEED, lambda: False)
        assert first is not None
        node = Node(key=path.keys[cut_at - 1], path=first)
        last, _ = TorchStageRunner(setup, tmp_path / "b").run(node, path.segments[cut_at:], SEED, lambda: False)
        assert last is not None
        assert differing({k: v for k, v in whole.items() if k != "curve"}, read_state(last)) == []


def test_packing_is_in_the_key(setup: TrainSetup) -> None:
    other = setup.model_copy(update={"packing": not setup.packing})
    assert other.root_key(SEED) != setup.root_key(SEED)
    assert TrainSetup.model_validate(setup.model_dump(mode="json"), strict=False) == setup
    assert setup.predicted == "completion"


def test_padding_of_evaluation_never_counts(pairs: PreparedData, setup: TrainSetup) -> None:
    model = fresh_state(setup, SEED).model.eval()
    rows = evaluation_rows(pairs, setup)
    together, alone = (
        evaluate(model, rows, setup.model_copy(update={"micro_batch": micro_batch})) for micro_batch in (64, 1)
    )
    assert together.loss == pytest.approx(alone.loss, rel=1e-6)
    assert together.num_tokens == rows.num_targets
    assert evaluate(model, rows_of_test_split(pairs, setup), setup).num_tokens > 0


def test_each_judged_example_is_a_document(pairs: PreparedData, setup: TrainSetup) -> None:
    rows = judged_rows(pairs, setup)
    assert rows is not None
    model = fresh_state(setup, SEED).model.eval()
    losses = judge(model, rows, setup)
    assert losses.document_tokens == rows.document_tokens
    for number in (0, len(rows.document_tokens) - 1):
        batch = rows.read(torch.tensor([number]).numpy())
        logits = model(torch.from_numpy(batch.inputs)).detach()
        nats = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten(), ignore_index=IGNORED, reduction="sum"
        )
        assert losses.document_nats[number] == pytest.approx(nats.item(), rel=1e-5)


def test_a_small_model_learns_the_answers(setup: TrainSetup, tmp_path: Path) -> None:
    _, path = run_whole(setup, SCHEDULE, tmp_path, seed=SEED)
    _, report = TorchStageRunner(setup, tmp_path / "x").run(None, path.segments, SEED, lambda: False)
    losses = [point.loss for point in report.curve if point.loss is not None]
    assert losses[-1] < losses[0]
