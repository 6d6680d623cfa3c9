"""The real Trainer of `transformers` with stages: states, stops, refusals."""

from __future__ import annotations

import math
import re

import pytest

from examples import hf_trainer
from mbo_search.errors import StudyError
from mbo_search.study.spec.schedule import Regularizer, Schedule
from tests.helpers.spans import LINEAR, Spans, check_parts_are_measured, check_trainer, full_stage, one_stage

DROPOUT, EMA = Regularizer(kind="dropout", strength=0.2), Regularizer(kind="ema", strength=0.5)
STAGED = Schedule(
    stages=(
        full_stage("warm", 0.5, optimizer="muon", lr=0.02, regularizers=(DROPOUT,)),
        full_stage("cool", 0.25, lr=0.01, lr_shape=LINEAR, hand_over="carry"),
        full_stage("end", 0.25, optimizer="sf_adamw", hand_over="reset", regularizers=(EMA,)),
    )
)


@pytest.fixture
def spans_of(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(
        hf_trainer, "ROWS", hf_trainer.ROWS[:140]
    )  # twelve rows to train on: epochs end within a span
    return lambda schedule, train=hf_trainer.train: Spans(
        train, tmp_path_factory.mktemp("spans"), schedule, batch_tokens=128
    )


def test_the_example_keeps_all_that_matters_in_its_states(spans_of, tmp_path):
    check_trainer(spans_of(STAGED), middle=1, interrupted_after=3, folder=tmp_path / "partial")


def test_a_request_of_several_stages_is_measured_after_each(spans_of):
    check_parts_are_measured(spans_of(STAGED))


def test_the_moving_average_is_measured_beside_the_weights(spans_of):
    spans = spans_of(one_stage(regularizers=(EMA,)))
    result = spans.train(spans.request(0, 1)).result
    assert result.metrics["ema_val_loss"] != result.val_loss
    assert set(result.metrics) == {"ema_val_loss"}


class Changed:
    """The example with other arguments of the Trainer, or with another batch."""

    def __init__(self, monkeypatch, **arguments):
        original = hf_trainer.TrainingArguments
        monkeypatch.setattr(hf_trainer, "TrainingArguments", lambda **given: original(**(given | arguments)))


REFUSED = [
    ({"seed": 77}, "seed: 77 must be the seed that is asked for, 1"),
    (
        {"load_best_model_at_end": True, "eval_strategy": "steps", "save_strategy": "steps"},
        "load_best_model_at_end",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_arguments_that_contradict_the_call_are_refused(spans_of, monkeypatch, tmp_path, arguments, said):
    Changed(monkeypatch, output_dir=str(tmp_path), **arguments)
    spans = spans_of(one_stage())
    with pytest.raises(StudyError, match=said):
        spans.train(spans.request())


def test_a_trainer_with_an_optimizer_of_its_own_is_refused(spans_of, monkeypatch, tmp_path):
    original = hf_trainer.Trainer
    monkeypatch.setattr(hf_trainer, "Trainer", lambda *given, optimizers, **named: original(*given, **named))
    Changed(monkeypatch, output_dir=str(tmp_path))
    spans = spans_of(one_stage())
    with pytest.raises(StudyError, match=re.escape("optimizers=span.optimizers")):
        spans.train(spans.request())


def test_terms_of_the_loss_are_refused_as_the_trainer_computes_it(spans_of):
    spans = spans_of(one_stage(regularizers=(Regularizer(kind="z_loss", strength=0.1),)))
    with pytest.raises(StudyError, match="z_loss changes the training loss"):
        spans.train(spans.request())


def test_a_gradient_that_is_no_number_ends_the_call_without_a_state(spans_of):
    spans = spans_of(one_stage(lr=1e30, clip_norm=None))
    trained = spans.train(spans.request())
    assert math.isnan(trained.val_loss)
    assert list(trained.state.iterdir()) == []


def test_accumulated_batches_are_one_step(spans_of, monkeypatch, tmp_path):
    """Two batches of two rows move the weights as one of four, but for rounding."""
    whole = spans_of(one_stage()).train(spans_of(one_stage()).request(0, 1))
    Changed(monkeypatch, output_dir=str(tmp_path), per_device_train_batch_size=2, gradient_accumulation_steps=2)
    parts = spans_of(one_stage()).train(spans_of(one_stage()).request(0, 1))
    assert len({line.step for line in parts.lines}) == 3
    assert parts.val_loss == pytest.approx(whole.val_loss, abs=1e-4)
