"""The conformance suite of optimizers.

An optimizer learns, keeps types, continues bit for bit from an exported state, uses the learning rate that was set
and no other, decays weights by lr * weight_decay exactly, and updates every trainable parameter exactly once.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mbo_search.extensions import with_extensions
from mbo_search.model.decoder import Decoder
from mbo_search.optim.handover import hand_over
from mbo_search.optim.implementation import implementation_of
from mbo_search.optim.state import OptimizerState
from mbo_search.study.catalogue.entries import OptimizerDefinition
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.within_stage import changed, changing_hparams
from mbo_search.study.spec.schedule import Stage
from mbo_search.testing.definitions import check_definition, check_hparams
from mbo_search.testing.lab import VOCAB, Lab, assert_equal

_STEPS = 14
_BOWL_STEPS = 150


def check_optimizer(optimizer: OptimizerDefinition) -> None:
    """Run every check on an optimizer; it need not be registered.

    Raises:
        AssertionError: If one does not hold.
    """
    known = OPTIMIZERS.get(optimizer.name) is optimizer
    with nullcontext() if known else with_extensions(optimizer):
        for check in OPTIMIZER_CHECKS:
            check(optimizer, Lab())


def definition_is_sound(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """The description is complete, and the reference learning rate lies in its range."""
    check_definition(optimizer, is_built_in=optimizer.name in OPTIMIZERS.built_in)
    check_hparams(optimizer.hparams)
    rates = (optimizer.lr_low, optimizer.reference_lr, optimizer.lr_high)
    assert 0 < rates[0] <= rates[1] <= rates[2], "the reference lr must lie in its range"
    if optimizer.auxiliary is not None:
        assert "aux_lr_ratio" in optimizer.hparams, "an auxiliary optimizer needs the setting aux_lr_ratio"
    implementation_of(optimizer.name)


def settings_are_read(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Every setting of the description is needed to build it."""
    for missing in optimizer.hparams:
        stage = lab.stage(optimizer.name)
        left = {name: value for name, value in stage.hparams.items() if name != missing}
        try:
            lab.optimizer(lab.model(), stage.model_copy(update={"hparams": left}))
        except KeyError as error:
            assert missing in str(error), f"{missing} is missed by another name: {error}"  # noqa: PT017
        else:
            raise AssertionError(f"the setting {missing} is not read")


class Bowl(nn.Module):
    """A quadratic with a hidden matrix, an embedding and a norm; its bottom is where every weight is 0.3.

    The hidden matrix begins with the norm that it has there, for optimizers that keep it.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        layer = nn.ModuleDict({"mlp": nn.Linear(5, 4, bias=False), "norm": nn.RMSNorm(4)})
        self.model = nn.ModuleDict({"embed": nn.Embedding(6, 4), "layers": nn.ModuleList([layer])})
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)
        with torch.no_grad():
            hidden = layer["mlp"].get_parameter("weight")
            hidden.mul_(0.3 * math.sqrt(hidden.numel()) / hidden.norm())

    def forward(self) -> Tensor:
        """Compute the height above the bottom."""
        return torch.stack([(parameter - 0.3).square().sum() for parameter in self.parameters()]).sum()


def descends_into_a_bowl(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """It comes down a quadratic with one of a few learning rates."""
    left = min(_left_of_bowl(optimizer, lab, lr) for lr in (0.01, 0.05, 0.2))
    assert left < 0.02, f"{left:.0%} of a quadratic bowl are left after {_BOWL_STEPS} steps"


def _left_of_bowl(optimizer: OptimizerDefinition, lab: Lab, lr: float) -> float:
    model = Bowl()
    short_memory = {name: 0.95 for name in ("beta3",) if name in optimizer.hparams}
    stage = lab.stage(optimizer.name, {"weight_decay": 0.0}, hparams=short_memory)
    built = lab.optimizer(model, stage)
    start = model().item()
    for step in range(_BOWL_STEPS):
        built.set_lr(lr * (1 - step / _BOWL_STEPS))
        built.zero_grad()
        model().backward()
        built.step()
    built.eval_mode()
    left: float = model().item() / start
    return left


def learns_a_language(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """It learns with its reference learning rate."""
    model, stage = lab.model(), lab.stage(optimizer.name)
    losses = lab.train(model, lab.optimizer(model, stage), range(40), stage.lr)
    end = sum(losses[-5:]) / 5
    assert end < min(losses[0], math.log(VOCAB)) - 0.1, f"the loss went from {losses[0]:.2f} to {end:.2f}"


def keeps_types(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Weights and state keep the type of the weights, and stay finite."""
    layout = implementation_of(optimizer.name).layout
    computed = {slot for slot, start in layout.slots.items() if callable(start)}
    for dtype in (torch.float32, torch.bfloat16):
        model = lab.model().to(dtype)
        built = lab.optimizer(model, lab.stage(optimizer.name))
        lab.train(model, built, range(3), 1e-3)
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
        tensors = {k: t for k, t in built.export_state().tensors.items() if k.rpartition("/")[2] not in computed}
        assert {tensor.dtype for tensor in tensors.values()} <= {dtype}, "the state has another type"
        assert all(torch.isfinite(tensor).all() for tensor in (*tensors.values(), *model.parameters()))


def is_deterministic(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Training twice gives the same weights, bit for bit."""
    ends = []
    for _ in range(2):
        model, stage = lab.model(), lab.stage(optimizer.name)
        lab.train(model, lab.optimizer(model, stage), range(5), stage.lr)
        ends.append(lab.weights(model))
    assert_equal(ends[0], ends[1], "two equal trainings end at different weights")


def exported_state_continues_bit_for_bit(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Training that was saved and loaded at any step goes as if it had not been."""
    stage, model, losses, saved = lab.stage(optimizer.name), lab.model(), [], {}
    built = lab.optimizer(model, stage)
    for step in range(_STEPS):
        if step in {0, 1, 2, 7, 10, 11}:
            saved[step] = copy.deepcopy(model), lab.saved(built.export_state())
        losses += lab.train(model, built, [step], stage.lr)
    for step, (resumed, state) in saved.items():
        after = lab.optimizer(resumed, stage)
        after.import_state(state)
        assert lab.train(resumed, after, range(step, _STEPS), stage.lr) == losses[step:], f"resumed at step {step}"
        assert_equal(lab.weights(resumed), lab.weights(model), f"resumed at step {step}")


def importing_and_exporting_changes_nothing(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """A state comes back as it was, in memory of its own."""
    model, stage = lab.model(), lab.stage(optimizer.name)
    built = lab.optimizer(model, stage)
    lab.train(model, built, range(3), stage.lr)
    state = lab.saved(built.export_state())
    copied = lab.optimizer(copy.deepcopy(model), stage)
    copied.import_state(state)
    again = copied.export_state()
    assert again.numbers == state.numbers
    assert_equal(again.tensors, state.tensors, "the state changed on its way")
    assert all(tensor.data_ptr() != state.tensors[key].data_ptr() for key, tensor in again.tensors.items())


def foreign_state_is_refused(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """The state of an optimizer with other slots is not taken for its own."""
    own = implementation_of(optimizer.name).layout.slots.keys()
    other = next(name for name in ("sgd_nesterov", "lion") if not implementation_of(name).layout.slots.keys() & own)
    model = lab.model()
    source = lab.optimizer(model, lab.stage(other))
    lab.train(model, source, range(1), 1e-3)
    try:
        lab.optimizer(model, lab.stage(optimizer.name)).import_state(source.export_state())
    except AssertionError as error:
        assert "foreign optimizer state" in str(error)  # noqa: PT017
    else:
        raise RuntimeError(f"{optimizer.name} took over the state of {other}")


def lr_zero_moves_nothing(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Steps at a learning rate of zero leave the weights as they are."""
    model, stage = lab.model(), lab.stage(optimizer.name)
    lab.train(model, lab.optimizer(model, stage), range(3), 0.0)
    assert_equal(lab.weights(model), lab.weights(lab.model()), "moved at a learning rate of zero")


def lr_that_is_set_is_used(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """A step is proportional to the learning rate."""
    moved = []
    for lr in (1e-7, 2e-7):
        model = lab.model().double()
        built = lab.optimizer(model, lab.stage(optimizer.name, {"weight_decay": 0.0}))
        lab.train(model, built, range(1), 0.0)
        before = lab.weights(model)
        lab.train(model, built, range(1), lr)
        moved.append({key: weight - before[key] for key, weight in lab.weights(model).items()})
    for key in moved[0]:
        assert moved[0][key].abs().max() > 0, f"{key} does not move"
        torch.testing.assert_close(moved[1][key], 2 * moved[0][key], rtol=1e-6, atol=1e-14)


def weights_decay_by_lr_times_weight_decay(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Without gradients, matrices shrink by 1 - lr * weight_decay, and nothing else moves."""
    lr, weight_decay, ratio = 0.01, 0.5, 0.5
    hparams = {"aux_lr_ratio": ratio} if optimizer.auxiliary is not None else {}
    model = lab.model()
    built = lab.optimizer(model, lab.stage(optimizer.name, {"weight_decay": weight_decay}, hparams=hparams))
    before = lab.weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.set_lr(lr)
    built.step()
    rest = built.split().get("rest", ())
    decays_itself = implementation_of(optimizer.name).decays_itself
    for key, weight in lab.weights(model).items():
        decays = optimizer.decoupled_decay and weight.ndim == 2
        factor = 1 - lr * (ratio if key in rest else 1.0) * weight_decay if decays else 1.0
        if decays_itself:
            torch.testing.assert_close(weight, before[key] * factor, rtol=1e-6, atol=0.0)
        else:
            assert torch.equal(weight, before[key] * factor), f"{key} does not shrink by lr * weight_decay"


_RATES: Mapping[str, object] = MappingProxyType(
    {"weight_decay": 0.0, "layer_decay": 0.5, "groups": {"embeddings": {"lr_ratio": 0.25}}}
)
"""Another learning rate in each layer, and in the embeddings."""

_DECAYS: Mapping[str, object] = MappingProxyType(
    {
        "weight_decay": 0.5,
        "groups": {"embeddings": {"lr_ratio": 0.25, "weight_decay": 0.0}, "mlp": {"weight_decay": 0.3}},
    }
)
"""Another weight decay in the embeddings, and in the MLPs."""


def parts_of_the_model_have_their_own_rates(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """A step is proportional to the learning rate of a parameter's layer and kind of block, each counted once."""
    moved = []
    for settings in ({"weight_decay": 0.0}, _RATES):
        model = lab.model().double()
        built = lab.optimizer(model, lab.stage(optimizer.name, settings))
        names = [name for part in built.split().values() for name in part]
        assert sorted(names) == sorted(name for name, _ in model.named_parameters())
        lab.train(model, built, range(1), 0.0)
        before = lab.weights(model)
        lab.train(model, built, range(1), 1e-7)
        moved.append({key: weight - before[key] for key, weight in lab.weights(model).items()})
    for key in moved[0]:
        ratio = 0.25 * 0.5**2 if "embed" in key else 0.5 if ".0." in key else 1.0
        torch.testing.assert_close(moved[1][key], ratio * moved[0][key], rtol=1e-5, atol=1e-14)


def parts_of_the_model_decay_by_their_own_numbers(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Without gradients, the matrices of a block with a weight decay of its own shrink by it."""
    lr = 0.01
    model = lab.model()
    built = lab.optimizer(model, lab.stage(optimizer.name, _DECAYS))
    before = lab.weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.set_lr(lr)
    built.step()
    for key, weight in lab.weights(model).items():
        decay = 0.0 if "embed" in key else 0.3 if ".mlp." in key else 0.5
        decays = optimizer.decoupled_decay and weight.ndim == 2
        factor = 1 - lr * decay if decays else 1.0
        torch.testing.assert_close(weight, before[key] * factor, rtol=1e-6, atol=0.0)


def parts_of_the_model_continue_bit_for_bit(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Training with such settings goes on from an exported state as if it had not been interrupted."""
    stage, model = lab.stage(optimizer.name, {**_DECAYS, "layer_decay": 0.5}), lab.model()
    built = lab.optimizer(model, stage)
    lab.train(model, built, range(3), stage.lr)
    resumed, state = copy.deepcopy(model), lab.saved(built.export_state())
    after = lab.optimizer(resumed, stage)
    after.import_state(state)
    assert lab.train(resumed, after, range(3, 6), stage.lr) == lab.train(model, built, range(3, 6), stage.lr)
    assert_equal(lab.weights(resumed), lab.weights(model), "resumed with settings of parts")


def settings_change_within_a_stage_as_declared(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Steps after a setting was changed are those of an optimizer built with it, where a description allows it."""
    stage = lab.stage(optimizer.name)
    for name in changing_hparams(optimizer.hparams):
        other = {**stage.hparams, name: changed(stage.hparams[name], 0.25, optimizer.hparams[name].within_stage)}
        model, built_with = lab.model(), lab.model()
        built = lab.optimizer(model, stage)
        built.set_hparams(other)
        lab.train(model, built, range(2), stage.lr)
        expected = lab.optimizer(built_with, stage.model_copy(update={"hparams": other}))
        lab.train(built_with, expected, range(2), stage.lr)
        found, wanted = lab.weights(model), lab.weights(built_with)
        for key, weight in found.items():
            torch.testing.assert_close(weight, wanted[key], rtol=1e-5, atol=1e-8, msg=f"{name} is not set")


def steps_need_a_learning_rate(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """A step before the learning rate is set is refused, also after a state was imported."""
    model, stage = lab.model(), lab.stage(optimizer.name)
    built = lab.optimizer(model, stage)
    lab.loss(model, 0).backward()  # type: ignore[no-untyped-call]
    _refuses_to_step(built.step)
    built.set_lr(1e-3)
    built.step()
    built.import_state(lab.saved(built.export_state()))
    _refuses_to_step(built.step)


def _refuses_to_step(step: Callable[[], None]) -> None:
    try:
        step()
    except AssertionError as error:
        assert "set_lr" in str(error)  # noqa: PT017
    else:
        raise RuntimeError("it steps without a learning rate")


def evaluating_changes_nothing(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Switching to the evaluated weights and back leaves the training as it is, bit for bit."""
    stage = lab.stage(optimizer.name)
    plain, watched = lab.model(), lab.model()
    losses = lab.train(plain, lab.optimizer(plain, stage), range(8), stage.lr)
    built, watched_losses = lab.optimizer(watched, stage), []
    for step in range(8):
        built.eval_mode()
        built.eval_mode()
        lab.loss(watched, 99)
        built.train_mode()
        watched_losses += lab.train(watched, built, [step], stage.lr)
    assert watched_losses == losses
    built.train_mode()
    assert_equal(lab.weights(watched), lab.weights(plain), "evaluating changed the training")


def evaluated_weights_are_declared(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Only an implementation with `evaluated` evaluates other weights than it trains."""
    model, stage = lab.model(), lab.stage(optimizer.name)
    built = lab.optimizer(model, stage)
    lab.train(model, built, range(4), stage.lr)
    trained = lab.weights(model)
    built.eval_mode()
    same = all(torch.equal(weight, trained[key]) for key, weight in lab.weights(model).items())
    assert same == (implementation_of(optimizer.name).evaluated is None)


def state_size_is_true(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """The description's floats per parameter are those of the exported state, to 25 %."""
    model = lab.model(width=32, layers=4)
    built = lab.optimizer(model, lab.stage(optimizer.name))
    lab.train(model, built, range(2), 1e-3)
    floats = sum(tensor.numel() for tensor in built.export_state().tensors.values())
    found = floats / sum(parameter.numel() for parameter in model.parameters())
    assert abs(found - optimizer.state_floats) <= 0.25 * optimizer.state_floats, (
        f"state_floats is {optimizer.state_floats:g}, the state holds {found:.3g} floats per parameter"
    )


def every_parameter_is_updated_once(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Each trainable parameter belongs to exactly one part, whatever learns and whether embeddings are tied."""
    for tied, trainable in itertools.product((True, False), ("all", "layers:1-1", "norms", "embeddings+mlp")):
        model = lab.model(tied=tied)
        split = lab.optimizer(model, lab.stage(optimizer.name, {"trainable": trainable})).split()
        names = [name for part in split.values() for name in part]
        learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert len(names) == len(set(names)), trainable
        assert set(names) == learning, trainable
        assert names, trainable


def hands_over_to_itself(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """`carry` to the same optimizer keeps the state bit for bit, `reset` starts a fresh one."""
    stage, state, model = _trained(optimizer, lab)
    carried = hand_over(
        state, model=model, previous=stage, stage=stage, mode="carry", budget_steps=lab.budget_steps
    )
    assert_equal(carried.export_state().tensors, state.tensors, "carry to itself changed the state")
    assert carried.export_state().numbers == state.numbers
    fresh = hand_over(state, model=model, previous=stage, stage=stage, mode="reset", budget_steps=lab.budget_steps)
    assert not fresh.export_state().tensors, "reset kept a state"


def hands_over_to_others(optimizer: OptimizerDefinition, lab: Lab) -> None:
    """Every pair with a row in the hand-over table trains on with steps of ordinary size."""
    for other in OPTIMIZERS.built_in:
        for previous, following in ((optimizer.name, other), (other, optimizer.name)):
            if previous != following and can_carry(previous, following):
                old, state, model = _trained(OPTIMIZERS[previous], lab)
                stage = lab.stage(following)
                built = hand_over(
                    state, model=model, previous=old, stage=stage, mode="carry", budget_steps=lab.budget_steps
                )
                losses = lab.train(model, built, range(20, 26), stage.lr)
                assert all(math.isfinite(loss) for loss in losses), (previous, following)
                assert losses[-1] < losses[0] + 0.5, (previous, following)


def _trained(optimizer: OptimizerDefinition, lab: Lab) -> tuple[Stage, OptimizerState, Decoder]:
    model, stage = lab.model(), lab.stage(optimizer.name)
    built = lab.optimizer(model, stage)
    lab.train(model, built, range(6), stage.lr)
    return stage, lab.saved(built.export_state()), model


OPTIMIZER_CHECKS: tuple[Callable[[OptimizerDefinition, Lab], None], ...] = (
    definition_is_sound,
    settings_are_read,
    descends_into_a_bowl,
    learns_a_language,
    keeps_types,
    is_deterministic,
    exported_state_continues_bit_for_bit,
    importing_and_exporting_changes_nothing,
    foreign_state_is_refused,
    lr_zero_moves_nothing,
    lr_that_is_set_is_used,
    weights_decay_by_lr_times_weight_decay,
    parts_of_the_model_have_their_own_rates,
    parts_of_the_model_decay_by_their_own_numbers,
    parts_of_the_model_continue_bit_for_bit,
    settings_change_within_a_stage_as_declared,
    steps_need_a_learning_rate,
    evaluating_changes_nothing,
    evaluated_weights_are_declared,
    state_size_is_true,
    every_parameter_is_updated_once,
    hands_over_to_itself,
    hands_over_to_others,
)
"""Every check: (definition, lab) -> None, raising where it does not hold."""
