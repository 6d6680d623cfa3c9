"""The real Lightning Trainer with stages, to be run where `lightning` can be imported."""

from __future__ import annotations

import math
import tempfile
import warnings
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from examples import lightning_module
from mbo_search.errors import StudyError
from mbo_search.integrations.lightning import LightningSpan
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


def spans_of(schedule, train=lightning_module.train):
    return Spans(train, Path(tempfile.mkdtemp(dir=tempfile.gettempdir())), schedule)


def changed(*, parts=1, sampler=True, **arguments):
    """The example with other arguments of the Trainer."""

    def train(call):
        lightning_module.seed_everything(call.request.seed, verbose=False)
        module = lightning_module.Network()
        span = LightningSpan(call, module)
        data = lightning_module.TRAIN
        batches = span.batches(len(data), call.request.batch_tokens, parts) if sampler else None
        loader = DataLoader(data, batch_sampler=batches) if sampler else DataLoader(data, batch_size=32)
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **arguments,
        )
        return span.train(trainer, loader, DataLoader(lightning_module.VALIDATION, batch_size=500))

    return train


def check_the_example_keeps_all_that_matters_in_its_states(folder):
    check_trainer(spans_of(STAGED), middle=1, interrupted_after=3, folder=folder / "partial")


def check_a_request_of_several_stages_is_measured_after_each(folder):
    check_parts_are_measured(spans_of(STAGED))
    whole = spans_of(STAGED)
    assert "ema_val_loss" in whole.train(whole.request()).result.metrics


def check_accumulated_batches_are_one_step(folder):
    spans = spans_of(one_stage(), changed(parts=2, accumulate_grad_batches=2))
    parts = spans.train(spans.request(0, 1))
    whole = spans_of(one_stage(), changed())
    assert [line.step for line in parts.lines] == [1, 2, 3]
    assert parts.val_loss == pytest.approx(whole.train(whole.request(0, 1)).val_loss, abs=1e-4)


def check_a_gradient_that_is_no_number_ends_the_call_without_a_state(folder):
    spans = spans_of(one_stage(lr=1e30, clip_norm=None))
    trained = spans.train(spans.request())
    assert math.isnan(trained.val_loss)
    assert list(trained.state.iterdir()) == []


def check_what_contradicts_the_call_is_refused(folder):
    refused = {
        "batch_sampler=span.batches": (changed(sampler=False), {}),
        "accumulate_grad_batches: 2": (changed(accumulate_grad_batches=2), {}),
        "gradient_clip_val": (changed(gradient_clip_val=1.0), {}),
        "z_loss changes the training loss": (
            changed(),
            {"regularizers": (Regularizer(kind="z_loss", strength=0.1),)},
        ),
    }
    for said, (train, fields) in refused.items():
        spans = spans_of(one_stage(**fields), train)
        with pytest.raises(StudyError) as caught:
            spans.train(spans.request())
        assert said in str(caught.value)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, check in list(globals().items()):
        if name.startswith("check_") and check.__module__ == "__main__":
            with tempfile.TemporaryDirectory() as made:
                check(Path(made))
            print(name)
