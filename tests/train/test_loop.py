"""Proves what a training step does: data by position, gradients as of one whole batch, the learning rate of the
schedule, noise of its own for each step, averages as defined, guards."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mbo_search.data.batches import Batch, TokenStream
from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import WindowRows
from mbo_search.errors import TrialError
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.study.spec.segments import cut
from mbo_search.train.evaluation import EvalSet, finish_segment
from mbo_search.train.loop import StepContext, StepReport, train_segment
from mbo_search.train.saved_state import fresh_state
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import TrainState
from tests.train.builder import LINEAR, make_schedule, make_stage

Watch = Callable[[TrainState, StepReport], None]


class Trainer:
    """Trains schedules in memory, and shows the state after each step."""

    def __init__(self, data: PreparedData, setup: TrainSetup) -> None:
        self.data = data
        self.setup = setup

    def train(
        self,
        schedule: Schedule,
        watch: Watch = lambda state, report: None,
        *,
        seed: int = 0,
        num_segments: int = 10,
    ) -> TrainState:
        stream = TokenStream(self.data.tokens("train"), self.setup.block_tokens, seed)
        context = StepContext(setup=self.setup, stream=stream, seed=seed)
        state = fresh_state(self.setup, seed)
        for segment in cut(schedule, self.setup.budget())[:num_segments]:
            train_segment(state, segment, context, stop=lambda: False, observe=lambda report: watch(state, report))
        return state


@pytest.fixture
def trainer(data: PreparedData, setup: TrainSetup) -> Trainer:
    return Trainer(data, setup)


def weights_of(state: TrainState) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}


def constant(optimizer: str = "adamw", **settings: object) -> Schedule:
    return make_schedule(make_stage("only", 1.0, optimizer, **settings))


def losses_of(trainer: Trainer, schedule: Schedule, **settings: int) -> list[float]:
    seen: list[float] = []
    trainer.train(schedule, lambda state, report: seen.append(report.loss), **settings)
    return seen


def test_the_loss_falls(trainer: Trainer) -> None:
    losses = losses_of(trainer, constant(lr=0.01))
    assert losses[0] == pytest.approx(math.log(trainer.setup.vocab_size), rel=0.05)
    assert losses[-1] < losses[0] - 1.0


def test_every_step_has_the_schedules_learning_rate(trainer: Trainer) -> None:
    schedule = make_schedule(
        make_stage("a", 0.4, "muon", warmup=0.2),
        make_stage("b", 0.6, "adamw", hand_over="carry", lr=0.01, lr_shape=LINEAR),
    )
    seen: list[float] = []
    trainer.train(schedule, lambda state, report: seen.append(report.lr))
    segments = cut(schedule, trainer.setup.budget())
    assert seen == [
        segment.lr(step) for segment in segments for step in range(segment.first_step, segment.last_step)
    ]
    assert seen[:4] == pytest.approx([0.001, 0.002, 0.003, 0.004])
    assert seen[-1] == pytest.approx(0.01 / 12)


def test_micro_batches_add_up_to_the_whole_batch(data: PreparedData, setup: TrainSetup) -> None:
    whole = losses_of(Trainer(data, setup.model_copy(update={"micro_batch": 6})), constant("sgd_nesterov"))
    for micro_batch in (1, 4, 5):
        parts = losses_of(
            Trainer(data, setup.model_copy(update={"micro_batch": micro_batch})), constant("sgd_nesterov")
        )
        assert parts == pytest.approx(whole, rel=1e-4)


def test_the_first_step_is_that_of_plain_gradient_descent(trainer: Trainer) -> None:
    schedule = constant("sgd_nesterov", lr=0.1, clip_norm=None, weight_decay=0.0, hparams={"momentum": 0.5})
    before = fresh_state(trainer.setup, 0)
    batch = TokenStream(trainer.data.tokens("train"), 16, 0).batch(0, 6, 16)
    logits = before.model(torch.from_numpy(batch.inputs))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
    loss.backward()
    after: list[dict[str, Tensor]] = []
    reports: list[StepReport] = []
    trainer.train(
        schedule, lambda state, report: (after.append(weights_of(state)), reports.append(report)), num_segments=1
    )
    for name, parameter in before.model.named_parameters():
        expected = parameter.detach() - 0.1 * 1.5 * parameter.grad  # Nesterov: g + momentum * g
        torch.testing.assert_close(after[0][name], expected, rtol=1e-4, atol=1e-7)
    assert reports[0].loss == pytest.approx(loss.item(), rel=1e-6)
    norm = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in before.model.parameters()))
    assert reports[0].grad_norm == pytest.approx(norm, rel=1e-4)


def dropout(strength: float) -> tuple[Regularizer, ...]:
    return (Regularizer(kind="dropout", strength=strength),)


def test_dropout_has_its_own_noise_for_each_step_and_seed(trainer: Trainer) -> None:
    frozen = {"lr": 1e-30, "weight_decay": 0.0}
    plain = losses_of(trainer, constant(**frozen))
    noisy = losses_of(trainer, constant(**frozen, regularizers=dropout(0.2)))
    assert losses_of(trainer, constant(**frozen, regularizers=dropout(0.2))) == noisy
    differences = [one - other for one, other in zip(noisy, plain, strict=True)]
    assert all(differences)
    assert len({round(difference, 9) for difference in differences}) == len(differences)


def test_noise_of_equal_data_differs_between_micro_batches(data: PreparedData, setup: TrainSetup) -> None:
    class Same(TokenStream):
        def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
            row = super().batch(0, 1, context)
            inputs, targets = (array.repeat(num_sequences, axis=0) for array in (row.inputs, row.targets))
            return Batch(inputs=inputs, targets=targets)

    seen = []
    for micro_batch in (1, 6):
        changed = setup.model_copy(update={"micro_batch": micro_batch})
        context = StepContext(setup=changed, stream=Same(data.tokens("train"), 16, 0), seed=0)
        state = fresh_state(changed, 0)
        segment = cut(constant(regularizers=dropout(0.5)), changed.budget())[0]
        reports: list[StepReport] = []
        train_segment(state, segment, context, stop=lambda: False, observe=reports.append)
        seen.append(reports[0].grad_norm)
    # With one noise for all micro-batches, six equal gradients would add up without averaging anything out.
    single = setup.model_copy(update={"micro_batch": 1, "batch_tokens": 16})
    alone = Trainer(data, single)
    norms: list[float] = []
    alone.train(
        constant(regularizers=dropout(0.5)), lambda state, report: norms.append(report.grad_norm), num_segments=1
    )
    assert seen[0] < 0.95 * norms[0]


def test_the_segments_mean_is_the_mean_of_its_steps(trainer: Trainer) -> None:
    seen: list[dict[str, Tensor]] = []
    schedule = make_schedule(make_stage("a", 0.4, "adamw"), make_stage("b", 0.6, "adamw", hand_over="reset"))
    state = trainer.train(schedule, lambda state, report: seen.append(weights_of(state)), num_segments=4)
    assert state.mean is not None
    assert state.mean.count == 2
    for name, mean in state.mean.export_state().items():
        torch.testing.assert_close(mean, (seen[-1][name] + seen[-2][name]) / 2)


def test_no_mean_is_kept_where_no_stage_may_end_or_the_weights_are_final(trainer: Trainer) -> None:
    assert trainer.train(constant(), num_segments=4).mean is not None
    assert trainer.train(constant(), num_segments=6).mean is None
    assert trainer.train(constant()).mean is None
    schedule = make_schedule(make_stage("a", 0.4, "sf_adamw"), make_stage("b", 0.6, "adamw", hand_over="reset"))
    assert trainer.train(schedule, num_segments=4).mean is None


def test_the_moving_average_follows_its_formula(trainer: Trainer) -> None:
    seen: list[dict[str, Tensor]] = [weights_of(fresh_state(trainer.setup, 0))]
    schedule = constant(regularizers=(Regularizer(kind="ema", strength=0.8),))
    state = trainer.train(schedule, lambda state, report: seen.append(weights_of(state)), num_segments=2)
    average = seen[0]
    for weights in seen[1:]:
        average = {name: 0.8 * average[name] + 0.2 * weights[name] for name in weights}
    assert state.ema is not None
    for name, value in state.ema.export_state().items():
        torch.testing.assert_close(value, average[name])


@pytest.mark.parametrize(("decay", "continues"), [(0.8, True), (0.9, False)])
def test_the_moving_average_continues_while_its_decay_stays(
    trainer: Trainer, decay: float, continues: bool
) -> None:
    """One that does not last to the schedule's end is not kept, because nothing would read it."""

    def stages(strength: float) -> Schedule:
        first = make_stage("a", 0.4, "adamw", regularizers=(Regularizer(kind="ema", strength=0.8),))
        second = make_stage(
            "b", 0.6, "adamw", hand_over="carry", regularizers=(Regularizer(kind="ema", strength=strength),)
        )
        return make_schedule(first, second)

    kept: list[object] = []
    trainer.train(stages(decay), lambda state, report: kept.append(state.ema), num_segments=5)
    assert kept[-1] is not None
    assert kept[0] is (kept[-1] if continues else None)


def test_only_the_trainable_block_changes(trainer: Trainer) -> None:
    before = weights_of(fresh_state(trainer.setup, 0))
    after = weights_of(trainer.train(constant(trainable="mlp", regularizers=dropout(0.1)), num_segments=2))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".mlp." in name}


def test_dropout_changes_with_the_stage(trainer: Trainer) -> None:
    def probabilities(state: TrainState) -> set[float]:
        return {module.p for module in state.model.modules() if isinstance(module, torch.nn.Dropout)}

    seen: list[set[float]] = []
    schedule = make_schedule(
        make_stage("a", 0.4, "adamw", regularizers=dropout(0.3)), make_stage("b", 0.6, "adamw", hand_over="carry")
    )
    trainer.train(schedule, lambda state, report: seen.append(probabilities(state)), num_segments=5)
    assert seen == [{0.3}] * 8 + [{0.0}] * 2


def test_a_loss_that_is_not_finite_ends_the_trial_before_the_step(trainer: Trainer) -> None:
    seen: list[StepReport] = []
    wild = constant("sgd_nesterov", lr=1e30, clip_norm=None)
    with pytest.raises(TrialError, match="at step") as caught:
        trainer.train(wild, lambda state, report: seen.append(report))
    assert caught.value.reason == "non_finite"
    assert all(math.isfinite(report.loss) and math.isfinite(report.grad_norm) for report in seen)


def test_an_exploded_loss_ends_the_trial_after_ten_high_losses_in_a_row(trainer: Trainer) -> None:
    seen: list[float] = []
    wild = constant("lion", lr=0.5)
    with pytest.raises(TrialError, match=r"above 8\.32 for 10 steps") as caught:
        trainer.train(wild, lambda state, report: seen.append(report.loss))
    assert caught.value.reason == "loss_explosion"
    high = [loss > 1.5 * math.log(trainer.setup.vocab_size) for loss in seen]
    assert all(high[-9:])
    assert not all(high[:-9])


def test_a_stop_is_asked_for_before_every_step(data: PreparedData, setup: TrainSetup) -> None:
    context = StepContext(setup=setup, stream=TokenStream(data.tokens("train"), 16, 0), seed=0)
    state = fresh_state(setup, 0)
    segments = cut(constant(), setup.budget())
    polls: list[int] = []
    assert train_segment(
        state, segments[0], context, stop=lambda: polls.append(state.step) or False, observe=lambda report: None
    )
    assert polls == [0, 1]
    assert not train_segment(state, segments[1], context, stop=lambda: True, observe=lambda report: None)
    assert state.step == 2


def test_a_point_tells_of_its_own_segment_and_leaves_the_weights_alone(trainer: Trainer) -> None:
    setup, data = trainer.setup, trainer.data
    windows = evaluation_windows_of(data, context=16, num_tokens=256)
    eval_set = EvalSet(rows=WindowRows(tokens=data.tokens("validation"), windows=windows), setup=setup)
    extras = (Regularizer(kind="ema", strength=0.5), Regularizer(kind="dropout", strength=0.1))
    stages = make_schedule(
        make_stage("a", 0.4, "adamw", regularizers=extras),
        Stage.model_validate(make_stage("b", 0.6, "adamw", hand_over="carry").model_dump()),
    )
    reports: list[StepReport] = []
    state = trainer.train(stages, lambda state, report: reports.append(report), num_segments=4)
    before = weights_of(state)
    point = finish_segment(state, cut(stages, setup.budget())[3], eval_set)
    assert all(torch.equal(weights, before[name]) for name, weights in weights_of(state).items())
    assert state.model.training
    assert point.train_loss == pytest.approx((reports[-1].loss + reports[-2].loss) / 2)
    assert point.grad_norm == pytest.approx((reports[-1].grad_norm + reports[-2].grad_norm) / 2)
    assert (point.step, point.tokens) == (8, 768)
    assert point.metrics is not None
    assert point.loss == point.metrics.loss
    assert len({point.metrics.loss, point.metrics.averaged_loss, point.metrics.ema_loss}) == 3


def test_shapes_that_reach_zero_train_to_the_end(trainer: Trainer) -> None:
    state = trainer.train(constant(lr_shape=LrShape(kind="cosine", hparams={"floor": 0.0})))
    assert state.step == trainer.setup.budget().total_steps
    assert state.position_tokens == trainer.setup.budget().total_tokens
