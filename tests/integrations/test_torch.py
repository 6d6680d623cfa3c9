"""A plain loop with stages: states, refusals, and what each setting does to a foreign module."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy

from examples import plain_loop
from mbo_search.errors import StoreError, StudyError, UserError
from mbo_search.integrations.step_batches import StepBatches
from mbo_search.integrations.torch import TorchSpan
from mbo_search.study.spec.schedule import BlockGroup, Regularizer, Schedule
from mbo_search.testing import check_runner
from tests.helpers.spans import LINEAR, Spans, check_parts_are_measured, check_trainer, full_stage, one_stage

DROPOUT, EMA = Regularizer(kind="dropout", strength=0.2), Regularizer(kind="ema", strength=0.5)
SMOOTHING, NOISE = (Regularizer(kind=kind, strength=0.01) for kind in ("label_smoothing", "gradient_noise"))
STAGED = Schedule(
    stages=(
        full_stage("warm", 0.5, optimizer="muon", lr=0.02, regularizers=(DROPOUT,)),
        full_stage("cool", 0.25, optimizer="adamw", lr=0.01, hand_over="carry", regularizers=(SMOOTHING,)),
        full_stage("end", 0.25, optimizer="sf_adamw", lr=0.01, hand_over="reset", regularizers=(EMA, NOISE)),
    )
)


class Tiny(nn.Module):
    """Two layers, with names that say so."""

    def __init__(self, layers="layers", dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(8, 4)
        setattr(self, layers, nn.ModuleList([nn.Linear(4, 4) for _ in range(2)]))
        self.layers_name = layers
        self.drop = nn.Dropout(dropout)

    def forward(self, ids):
        hidden = self.embedding(ids)
        for layer in getattr(self, self.layers_name):
            hidden = self.drop(torch.tanh(layer(hidden)))
        return hidden @ self.embedding.weight.T


class NoDropout(Tiny):
    def __init__(self):
        super().__init__()
        self.drop = nn.Identity()


class Loop:
    """A plain loop over a tiny model, which remembers what it saw."""

    def __init__(self, build=Tiny):
        self.build = build
        self.seen = []

    def __call__(self, call):
        torch.manual_seed(call.request.seed)
        self.model = self.build()
        ids = torch.arange(16) % 8
        evaluate = lambda: cross_entropy(self.model(ids), (ids * 3) % 8).item()  # noqa: E731
        self.span = TorchSpan(call, self.model, evaluate=evaluate)
        for step in self.span.steps():
            x = torch.randint(8, (call.request.batch_tokens,))
            self.span.loss(self.model(x), (x * 3) % 8).backward()
            self.look(step)
            self.span.update()
        return self.span.result()

    def look(self, step):
        self.seen.append((step, self.model.drop.p if hasattr(self.model.drop, "p") else None))


@pytest.fixture
def spans_of(tmp_path_factory):
    return lambda train, schedule: Spans(train, tmp_path_factory.mktemp("spans"), schedule)


def test_the_example_keeps_all_that_matters_in_its_states(tmp_path):
    spans = Spans(plain_loop.train, tmp_path, STAGED, steps=2)
    check_trainer(spans, middle=1, interrupted_after=4, folder=tmp_path / "partial")


def test_the_example_is_short():
    source = inspect.getsource(plain_loop)
    lines = source.splitlines()
    loop = inspect.getsource(plain_loop.train).splitlines()
    assert len(loop) <= 40
    assert len(lines) <= 60


@pytest.mark.parametrize("middle", [1, 2, 3])
def test_a_tiny_loop_can_be_cut_at_every_grid_point(tmp_path, middle):
    check_trainer(Spans(Loop(), tmp_path, STAGED), middle, interrupted_after=2, folder=tmp_path / "partial")


def test_a_request_of_several_stages_is_measured_after_each(spans_of):
    check_parts_are_measured(spans_of(Loop(), STAGED))


def test_the_rates_of_the_request_are_the_rates_of_the_steps(spans_of):
    """Lion moves every weight by the rate."""
    schedule = one_stage(optimizer="lion", lr=0.5, lr_shape=LINEAR, weight_decay=0.0)
    spans = spans_of(lambda call: _count_rates(call), schedule)
    request = spans.request()
    assert spans.train(request).result == pytest.approx([request.lr(step) for step in range(12)], abs=1e-6)


def _count_rates(call):
    model = nn.Linear(1, 1, bias=False)
    span = TorchSpan(call, model, evaluate=lambda: 0.0)
    moved = []
    for _ in span.steps():
        before = model.weight.item()
        model.weight.sum().backward()
        span.update(1.0)
        moved.append(before - model.weight.item())
    return moved


def test_dropout_of_a_stage_replaces_the_models_own_and_leaves_it_afterwards(spans_of):
    loop = Loop(lambda: Tiny(dropout=0.1))
    spans_of(loop, STAGED).train(spans_of(loop, STAGED).request())
    assert [p for _, p in loop.seen] == [0.2] * 6 + [0.1] * 6


def test_the_moving_average_is_measured_beside_the_weights(spans_of):
    spans = spans_of(Loop(), one_stage(regularizers=(EMA,)))
    result = spans.train(spans.request()).result
    assert result.metrics["ema_val_loss"] != result.val_loss


def test_schedule_free_weights_are_a_mean_already(spans_of):
    spans = spans_of(Loop(), one_stage(optimizer="sf_adamw"))
    result = spans.train(spans.request()).result
    assert result.averaged_val_loss == result.val_loss


REFUSED = [
    (Tiny, {"regularizers": (Regularizer(kind="l2_sp", strength=0.1),)}, "l2_sp"),
    (Tiny, {"regularizers": (Regularizer(kind="ema_fold", strength=0.1),)}, "ema_fold"),
    (NoDropout, {"regularizers": (DROPOUT,)}, "no dropout module"),
    (lambda: Tiny("steps"), {"optimizer": "muon"}, "muon needs to know the layers"),
    (lambda: Tiny("steps"), {"layer_decay": 0.5}, "layer_decay: 0.5 needs to know the layers"),
    (lambda: Tiny("steps"), {"trainable": "mlp"}, "trainable: mlp needs to know the layers"),
    (Tiny, {"trainable": "layers:5-7"}, "layers:5-7"),
    (Tiny, {"groups": {"attention": BlockGroup(lr_ratio=0.5)}}, "groups: attention names no parameter"),
]


@pytest.mark.parametrize(("build", "fields", "said"), REFUSED)
def test_what_cannot_be_done_is_refused_before_the_first_step(spans_of, build, fields, said):
    loop = Loop(build)
    spans = spans_of(loop, one_stage(**fields))
    with pytest.raises(StudyError) as caught:
        spans.train(spans.request())
    assert said in str(caught.value)
    assert loop.seen == []


def test_matrices_embeddings_and_layers_of_a_foreign_module_are_told_apart(spans_of):
    loop = Loop()
    spans = spans_of(loop, one_stage(optimizer="muon"))
    spans.train(spans.request())
    split = loop.span._staged.optimizer.split()
    assert set(split["matrices"]) == {"layers.0.weight", "layers.1.weight"}
    assert set(split["rest"]) == {"embedding.weight", "layers.0.bias", "layers.1.bias"}


def test_blocks_at_rest_keep_their_bits(spans_of):
    loop = Loop()
    spans = spans_of(loop, one_stage(trainable="embeddings"))
    spans.train(spans.request())
    torch.manual_seed(1)
    untrained = Tiny()
    assert torch.equal(loop.model.layers[0].weight, untrained.layers[0].weight)
    assert not torch.equal(loop.model.embedding.weight, untrained.embedding.weight)


def test_what_the_owner_froze_stays_frozen_and_out_of_the_states(spans_of):
    def build():
        model = Tiny()
        model.embedding.requires_grad_(False)
        return model

    loop = Loop(build)
    spans = spans_of(loop, one_stage())
    state = spans.train(spans.request(0, 2)).state
    assert not loop.model.embedding.weight.requires_grad
    assert "embedding.weight" not in load_file(state / "model.safetensors")
    spans.train(spans.request(2), state)


def test_a_model_in_which_nothing_learns_is_refused(spans_of):
    spans = spans_of(Loop(lambda: Tiny().requires_grad_(False)), one_stage())
    with pytest.raises(StudyError, match="nothing can learn"):
        spans.train(spans.request())


def test_a_loss_that_is_no_number_ends_the_call_without_a_state(spans_of):
    def look(step):
        if step == 4:
            loop.model.embedding.weight.grad.fill_(math.nan)

    loop = Loop()
    loop.look = look
    spans = spans_of(loop, one_stage())
    trained = spans.train(spans.request())
    assert math.isnan(trained.val_loss)
    assert len(trained.lines) == 5
    assert list(trained.state.iterdir()) == []


def test_a_term_of_the_loss_that_the_loop_leaves_out_is_an_error(spans_of):
    def train(call):
        model = Tiny()
        span = TorchSpan(call, model, evaluate=lambda: 0.0)
        for _ in span.steps():
            model(torch.arange(4)).sum().backward()
            span.update()

    spans = spans_of(train, one_stage(regularizers=(SMOOTHING,)))
    with pytest.raises(UserError, match="label_smoothing"):
        spans.train(spans.request())


def test_a_step_without_an_update_is_an_error(spans_of):
    spans = spans_of(lambda call: list(TorchSpan(call, Tiny(), evaluate=lambda: 0.0).steps()), one_stage())
    with pytest.raises(UserError, match="exactly once"):
        spans.train(spans.request())


def test_a_state_of_another_model_is_refused(spans_of):
    spans = spans_of(Loop(), one_stage())
    state = spans.train(spans.request(0, 2)).state
    other = spans_of(Loop(lambda: Tiny("blocks")), one_stage())
    with pytest.raises(StoreError, match="another model"):
        other.train(other.request(2), state)


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path, spans_of):
    spans = spans_of(Loop(), one_stage())
    partial = tmp_path / "partial"
    partial.mkdir()
    spans.train(spans.request(), partial=partial, stop_after=5)
    (checkpoint,) = partial.iterdir()
    (checkpoint / "checkpoint.json").write_text("{")
    resumed = spans.train(spans.request(), partial=partial)
    assert resumed.val_loss == spans.train(spans.request()).val_loss
    assert len([line for line in resumed.lines if line.train_loss is not None]) == 12


def _flat(batches):
    return [index for batch in batches for index in batch]


def test_step_batches_are_a_new_order_in_each_epoch_and_depend_on_the_step_alone():
    batches = list(StepBatches(10, 4, steps=range(5), seed=3))
    assert sorted(_flat(batches)[:10]) == sorted(_flat(batches)[10:]) == list(range(10))
    assert _flat(batches)[:10] != _flat(batches)[10:]
    assert list(StepBatches(10, 4, steps=range(3, 5), seed=3)) == batches[3:]
    assert list(StepBatches(10, 4, steps=range(5), seed=4)) != batches


def test_the_reported_loss_is_plain_cross_entropy(spans_of):
    plain, smoothed = (
        spans_of(Loop(), one_stage(regularizers=kinds)).train(
            spans_of(Loop(), one_stage(regularizers=kinds)).request()
        )
        for kinds in ((), (Regularizer(kind="label_smoothing", strength=0.9),))
    )
    assert plain.lines[0].train_loss == pytest.approx(smoothed.lines[0].train_loss)
    assert plain.lines[-1].train_loss != smoothed.lines[-1].train_loss


def test_the_example_passes_the_suite_for_runners(tmp_path):
    stages = [
        {"name": "warm", "share": 0.5, "optimizer": ["muon"], "lr": 0.01},
        {"name": "cool", "share": 0.5, "optimizer": ["adamw"], "lr": 0.01, "lr_shape": ["linear"]},
    ]
    study = {
        "study": "loop",
        "budget": {"tokens": 640, "grid": 0.25},
        "train": {"batch_tokens": 16},
        "stages": stages,
    }
    check_runner(study, tmp_path, train=plain_loop.train)
