"""Proves that settings which change from step to step are those of each step: the moments of the papers with the
product of their decays for their bias, the same bits after a restart, and nothing at all where nothing changes."""

from __future__ import annotations

import copy

import pytest
import torch

from mbo_search.optim.handover import hand_over
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.within_stage import changing_hparams
from mbo_search.testing.lab import assert_equal

STEPS = 8
LR, DECAY = 3e-3, 0.1


def value_at(value, step):
    """Stays for four steps, then its distance from 1 halves at every other one."""
    return value if step < 4 else 1 - (1 - value) * 0.5 ** (step // 2 - 1)


def factor_at(step):
    return 1.0 if step < 4 else 1.0 / step


def hparams_at(stage, settings, step):
    return {name: value_at(v, step) if name in settings else v for name, v in stage.hparams.items()}


def train(lab, model, optimizer, steps, *, settings, stage, factor=lambda step: 1.0):
    for step in steps:
        optimizer.set_lr(LR)
        optimizer.set_hparams(hparams_at(stage, settings, step), decay_factor=factor(step))
        optimizer.zero_grad()
        lab.loss(model, step).backward()
        optimizer.step()


def run_ours(lab, name, settings, **options):
    model, stage = lab.model().double(), lab.stage(name, weight_decay=DECAY)
    train(lab, model, lab.optimizer(model, stage), range(STEPS), settings=settings, stage=stage, **options)
    return lab.weights(model)


def run_reference(lab, update, factor=lambda step: 1.0):
    model, slots = lab.model().double(), {}
    for step in range(STEPS):
        model.zero_grad()
        lab.loss(model, step).backward()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2:
                    parameter.mul_(1 - LR * DECAY * factor(step))
                parameter.copy_(update(parameter.clone(), parameter.grad, slots.setdefault(name, {}), step))
    return lab.weights(model)


def adam(beta1, beta2):
    """Kingma & Ba's moments, each over one minus the weight that its first zero has left."""

    def update(weight, grad, slots, step):
        b1, b2 = beta1(step), beta2(step)
        slots["m"] = b1 * slots.get("m", 0.0) + (1 - b1) * grad
        slots["v"] = b2 * slots.get("v", 0.0) + (1 - b2) * grad**2
        slots["p1"], slots["p2"] = b1 * slots.get("p1", 1.0), b2 * slots.get("p2", 1.0)
        return weight - LR * (slots["m"] / (1 - slots["p1"])) / ((slots["v"] / (1 - slots["p2"])).sqrt() + 1e-8)

    return update


def lion(beta1, beta2):
    def update(weight, grad, slots, step):
        mean = slots.get("m", 0.0)
        slots["m"] = beta2(step) * mean + (1 - beta2(step)) * grad
        return weight - LR * (beta1(step) * mean + (1 - beta1(step)) * grad).sign()

    return update


def nesterov(weight, grad, slots, step):
    momentum = value_at(0.9, step)
    slots["m"] = momentum * slots["m"] + grad if slots else grad.clone()
    return weight - LR * (grad + momentum * slots["m"])


def nadam(beta1, beta2):
    def update(weight, grad, slots, step):
        b1, b2, t = beta1(step), beta2(step), step + 1
        momentum, following = (b1 * (1 - 0.5 * 0.96 ** (at * 0.004)) for at in (t, t + 1))
        slots["m"] = b1 * slots.get("m", 0.0) + (1 - b1) * grad
        slots["v"] = b2 * slots.get("v", 0.0) + (1 - b2) * grad**2
        slots["p1"], slots["p2"] = momentum * slots.get("p1", 1.0), b2 * slots.get("p2", 1.0)
        mean = following * slots["m"] / (1 - slots["p1"] * following) + (1 - momentum) * grad / (1 - slots["p1"])
        return weight - LR * mean / ((slots["v"] / (1 - slots["p2"])).sqrt() + 1e-8)

    return update


def changing(value):
    return lambda step: value_at(value, step)


def fixed(value):
    return lambda step: value


@pytest.mark.parametrize(
    ("name", "settings", "update"),
    [
        ("adamw", ("beta1", "beta2"), adam(changing(0.9), changing(0.95))),
        ("adamw", ("beta2",), adam(fixed(0.9), changing(0.95))),
        ("adamw", ("beta1",), adam(changing(0.9), fixed(0.95))),
        ("nadamw", ("beta1", "beta2"), nadam(changing(0.95), changing(0.98))),
        ("lion", ("beta1", "beta2"), lion(changing(0.9), changing(0.95))),
        ("sgd_nesterov", ("momentum",), nesterov),
    ],
)
def test_each_step_is_that_of_the_formula_with_the_values_of_the_step(name, settings, update, lab):
    ours, reference = run_ours(lab, name, settings), run_reference(lab, update)
    for weight, expected in reference.items():
        torch.testing.assert_close(ours[weight], expected, rtol=1e-7, atol=1e-9, msg=weight)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_settings_of_the_stage_at_every_step_are_no_settings_at_all(name, lab):
    stage, model = lab.stage(name, weight_decay=DECAY), lab.model()
    plain = copy.deepcopy(model)
    set_always, set_never = lab.optimizer(model, stage), lab.optimizer(plain, stage)
    train(lab, model, set_always, range(3), settings=(), stage=stage)
    lab.train(plain, set_never, range(3), LR)
    assert_equal(lab.weights(model), lab.weights(plain), "other weights")
    assert_equal(set_always.export_state().tensors, set_never.export_state().tensors, "another state")
    assert set_always.export_state().numbers == set_never.export_state().numbers


@pytest.mark.parametrize(("name", "stop"), [("adamw", 3), ("adam", 6), ("lion", 6), ("muon", 6), ("nadamw", 6)])
def test_a_restart_goes_on_bit_for_bit(name, stop, lab):
    settings, stage, model = changing_hparams(OPTIMIZERS[name].hparams), lab.stage(name), lab.model()
    optimizer = lab.optimizer(model, stage)
    train(lab, model, optimizer, range(stop), settings=settings, stage=stage)
    resumed, state = copy.deepcopy(model), lab.saved(optimizer.export_state())
    train(lab, model, optimizer, range(stop, STEPS), settings=settings, stage=stage)
    after = lab.optimizer(resumed, stage)
    after.import_state(state)
    train(lab, resumed, after, range(stop, STEPS), settings=settings, stage=stage)
    assert_equal(lab.weights(resumed), lab.weights(model), "other weights")
    assert after.export_state().numbers == optimizer.export_state().numbers


def test_products_are_kept_from_the_first_change_on_and_end_with_the_stage(lab):
    stage, model = lab.stage("adamw"), lab.model()
    optimizer = lab.optimizer(model, stage)
    train(lab, model, optimizer, range(4), settings=("beta2",), stage=stage)
    assert not any("product" in key for key in optimizer.export_state().numbers)
    train(lab, model, optimizer, range(4, 6), settings=("beta2",), stage=stage)
    numbers = lab.saved(optimizer.export_state()).numbers
    wanted = 0.95**4 * value_at(0.95, 4) * value_at(0.95, 5)
    products = [number for key, number in numbers.items() if key.endswith("beta2_product")]
    assert products == pytest.approx([wanted] * len(lab.weights(model)))
    other = lab.stage("adamw", hparams={"beta2": 0.99})
    carried = hand_over(
        optimizer.export_state(), model=model, previous=stage, stage=other, mode="carry", budget_steps=60
    )
    assert not any("product" in key for key in carried.export_state().numbers)


def test_the_corrections_stay_right_where_the_library_alone_would_be_ten_times_off(lab):
    stage, model = lab.stage("adamw", weight_decay=0.0), lab.model().double()
    optimizer = lab.optimizer(model, stage)
    train(lab, model, optimizer, range(20), settings=(), stage=stage)
    before = lab.weights(model)
    optimizer.set_lr(LR)
    optimizer.set_hparams({**stage.hparams, "beta1": 1 - 1e-6})
    optimizer.zero_grad()
    lab.loss(model, 20).backward()
    optimizer.step()
    largest = max(float((weight - before[name]).abs().max()) for name, weight in lab.weights(model).items())
    assert largest < 3 * LR


@pytest.mark.parametrize("name", [name for name, info in OPTIMIZERS.items() if info.decoupled_decay])
def test_weights_shrink_by_the_decay_of_the_step(name, lab):
    stage, model = lab.stage(name, weight_decay=DECAY, groups={"mlp": {"weight_decay": 0.5}}), lab.model()
    again = copy.deepcopy(model)
    train(lab, model, lab.optimizer(model, stage), [8], settings=(), stage=stage, factor=factor_at)
    half = lab.stage(name, weight_decay=DECAY / 8, groups={"mlp": {"weight_decay": 0.5 / 8}})
    train(lab, again, lab.optimizer(again, half), [8], settings=(), stage=half)
    assert_equal(lab.weights(model), lab.weights(again), "another decay")


def test_the_decay_of_every_step_is_that_of_the_formula(lab):
    ours = run_ours(lab, "adamw", (), factor=factor_at)
    reference = run_reference(lab, adam(fixed(0.9), fixed(0.95)), factor=factor_at)
    for weight, expected in reference.items():
        torch.testing.assert_close(ours[weight], expected, rtol=1e-7, atol=1e-9, msg=weight)
