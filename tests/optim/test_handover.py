"""Proves the hand-over between stages: what survives each change of optimizer, by parameter name, and that the rest
is fresh; that training goes on from every pair with steps of ordinary size; and that a change of the trainable
parameters gives newcomers a clock of their own."""

import copy
import functools
import itertools

import pytest
import torch

from mbo_search.errors import StudyError
from mbo_search.optim.groups import acting_optimizer
from mbo_search.optim.handover import hand_over
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

NAMES = sorted(OPTIMIZERS)
PAIRS = list(itertools.product(NAMES, NAMES))
CARRIED = [pair for pair in PAIRS if can_carry(*pair)]
ADAM = ("adam", "adamw", "nadamw")
TRAINABLE = ("all", "embeddings", "attention+mlp", "norms", "layers:0-0")


def begin(lab, state, model, previous, stage, mode="carry"):
    return hand_over(state, model=model, previous=previous, stage=stage, mode=mode, budget_steps=lab.budget_steps)


@functools.cache
def trained_once(lab, name, steps, changes):
    model, stage = lab.model(), lab.stage(name, **dict(changes))
    optimizer = lab.optimizer(model, stage)
    lab.train(model, optimizer, range(steps), stage.lr)
    return model, stage, lab.saved(optimizer.export_state())


def trained(lab, name, steps=6, **changes):
    return copy.deepcopy(trained_once(lab, name, steps, tuple(changes.items())))


def expected_slots(source, target, old, weight):
    """The slots of one parameter behind a carry, written down once more, slowly and by hand."""
    tensors, numbers = old
    zeros = torch.zeros_like(weight)
    if target in ADAM and source in (*ADAM, "sf_adamw"):
        step = numbers["step"]
        return with_product(
            target, step, {"exp_avg": tensors.get("exp_avg", zeros), "exp_avg_sq": tensors["exp_avg_sq"]}
        )
    if target in ADAM:
        means = {
            "lion": lambda: tensors["exp_avg"],
            "soap": lambda: tensors["exp_avg"],
            "muon": lambda: tensors["momentum_buffer"],
            "muonh": lambda: tensors["momentum_buffer"],
            "sgd_nesterov": lambda: tensors["momentum_buffer"] * (1 - 0.9),
        }
        mean = means[source]()
        beta1, beta2 = (OPTIMIZERS[target].hparams[beta].default for beta in ("beta1", "beta2"))
        return with_product(target, 1, {"exp_avg": mean * (1 - beta1), "exp_avg_sq": mean.square() * (1 - beta2)})
    if {source, target} == {"muon", "muonh"}:
        return {"momentum_buffer": tensors["momentum_buffer"]}, {}
    assert source in ADAM
    first, second, step = tensors["exp_avg"], tensors["exp_avg_sq"], numbers["step"]
    return {
        "ademamix": (
            {"exp_avg": first, "exp_avg_sq": second, "exp_avg_slow": zeros},
            {"step": step, "slow_steps": 0},
        ),
        "sf_adamw": ({"exp_avg_sq": second, "z": weight}, {"step": step, "weight_sum": 0.0, "lr_max": -1.0}),
        "lion": ({"exp_avg": first}, {}),
        "sgd_nesterov": ({"momentum_buffer": first / (1 - 0.9)}, {}),
        "muon": ({"momentum_buffer": first}, {}),
        "muonh": ({"momentum_buffer": first}, {}),
        "adafactor": (factored(second), {"step": step}),
        "soap": ({"exp_avg": first * (1 - 0.95)}, {"step": 1}),
    }[target]


def factored(second):
    if second.ndim < 2:
        return {"variance": second}
    return {"row_var": second.mean(1, keepdim=True), "col_var": second.mean(0, keepdim=True)}


def with_product(target, step, tensors):
    """NAdam keeps the product of its momenta so far."""
    if target == "nadamw":
        product = 1.0
        for i in range(1, step + 1):
            product *= 0.95 * (1 - 0.5 * 0.96 ** (i * 0.004))
        tensors["mu_product"] = torch.tensor(product)
    return tensors, {"step": step}


def slots_of(state, name):
    return tuple(
        {key.removeprefix(f"{name}/"): value for key, value in values.items() if key.startswith(f"{name}/")}
        for values in (state.tensors, state.numbers)
    )


@pytest.mark.parametrize(("source", "target"), [pair for pair in CARRIED if pair[0] != pair[1]])
def test_what_is_carried_is_what_the_table_says_and_the_rest_is_fresh(source, target, lab):
    model, previous, old = trained(lab, source)
    stage = lab.stage(target)
    new = begin(lab, old, model, previous, stage).export_state()
    keys = set()
    for name, weight in lab.weights(model).items():
        acting = [acting_optimizer(optimizer, name, weight.ndim) for optimizer in (source, target)]
        slots = slots_of(old, name)
        tensors, numbers = slots if acting[0] == acting[1] else expected_slots(*acting, slots, weight)
        for slot, tensor in tensors.items():
            torch.testing.assert_close(new.tensors[f"{name}/{slot}"], tensor, rtol=1e-6, atol=0.0)
        for slot, number in numbers.items():
            assert new.numbers[f"{name}/{slot}"] == number
        keys |= {f"{name}/{slot}" for slot in (*tensors, *numbers)}
    assert new.tensors.keys() | new.numbers.keys() == keys


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_training_goes_on_from_every_pair(source, target, lab):
    model, previous, old = trained(lab, source)
    mode = "carry" if can_carry(source, target) else "reset"
    stage = lab.stage(target)
    optimizer = begin(lab, old, model, previous, stage, mode)
    before = lab.weights(model)
    losses = [lab.loss(model, 50).item()]
    for step in range(6, 10):
        losses += lab.train(model, optimizer, [step], stage.lr * min(1.0, (step - 5) / 4))
    assert torch.isfinite(torch.tensor(losses)).all()
    assert max(losses) < losses[0] + 0.5
    assert all(not torch.equal(weight, before[key]) for key, weight in lab.weights(model).items())


@pytest.mark.parametrize(("source", "target"), CARRIED)
def test_a_carried_step_is_as_large_as_one_of_the_optimizer_itself(source, target, lab):
    """Moments without their step or without one another would make the first steps several times too large."""
    model, previous, old = trained(lab, source, steps=12)
    stage = lab.stage(target, weight_decay=0.0)
    carried_model, fresh_model = copy.deepcopy(model), copy.deepcopy(model)
    carried = begin(lab, old, carried_model, previous, stage)
    fresh = begin(lab, old, fresh_model, previous, stage, "reset")
    sizes = []
    for each, optimizer in ((carried_model, carried), (fresh_model, fresh)):
        lab.train(each, optimizer, range(12, 15), stage.lr)
        moved = [each.state_dict()[key] - weight for key, weight in lab.weights(model).items()]
        sizes.append(torch.cat([delta.flatten() for delta in moved]).norm().item())
    momentum_at_once = 4.0 if target == "sgd_nesterov" else 2.0
    assert 0.1 < sizes[0] / sizes[1] < momentum_at_once


def sizes_of_matrix_steps(lab, model, optimizer, steps, lr):
    """Norms of what each step adds to the matrices that SOAP itself updates."""
    sizes = []
    for step in steps:
        before = lab.weights(model)
        lab.train(model, optimizer, [step], lr)
        moved = [
            (weight.detach() - before[name]).flatten()
            for name, weight in model.named_parameters()
            if acting_optimizer("soap", name, weight.ndim) == "soap"
        ]
        sizes.append(torch.cat(moved).norm().item())
    return sizes, torch.cat(moved).numel() ** 0.5 * lr


@pytest.mark.parametrize("num_steps", [12, 60])
@pytest.mark.parametrize("source", ADAM)
def test_soaps_first_steps_behind_a_carry_are_no_larger_than_behind_a_reset(source, num_steps, lab):
    """The carried mean counts as a gradient in both moments and in the count that corrects their bias."""
    model, previous, old = trained(lab, source, steps=num_steps)
    stage, steps = lab.stage("soap", weight_decay=0.0, lr=1e-3), range(num_steps, num_steps + 31)
    sizes = {}
    for mode in ("carry", "reset"):
        each = copy.deepcopy(model)
        optimizer = begin(lab, old, each, previous, stage, mode)
        sizes[mode], adams = sizes_of_matrix_steps(lab, each, optimizer, steps, stage.lr)
    assert sizes["carry"][0] == sizes["reset"][0] == 0.0, "the first step measures the basis"
    assert 0.0 < max(sizes["carry"]) <= adams
    frequency = int(stage.hparams["precondition_frequency"])
    pairs = list(zip(sizes["carry"], sizes["reset"], strict=True))[1:]
    assert all(carried <= fresh for carried, fresh in pairs[: frequency - 1])
    assert all(carried <= 1.05 * fresh for carried, fresh in pairs)


def test_a_carried_mean_survives_the_files_before_and_behind_soaps_first_step(lab):
    model, previous, old = trained(lab, "adamw")
    stage = lab.stage("soap")
    optimizer = begin(lab, old, model, previous, stage)
    other, again = copy.deepcopy(model), lab.model()
    for step in (6, 7, 8):
        again.load_state_dict(other.state_dict())
        resumed = lab.optimizer(again, stage)
        resumed.import_state(lab.saved(optimizer.export_state()))
        losses = lab.train(model, optimizer, [step], stage.lr)
        assert lab.train(again, resumed, [step], stage.lr) == losses
        assert all(torch.equal(weight, lab.weights(again)[key]) for key, weight in lab.weights(model).items())
        other = copy.deepcopy(model)


@pytest.mark.parametrize("name", NAMES)
def test_carrying_to_the_same_optimizer_is_going_on(name, lab):
    model, stage, state = trained(lab, name)
    going_on = lab.model()
    losses = lab.train(going_on, lab.optimizer(going_on, stage), range(10), stage.lr)
    assert lab.train(model, begin(lab, state, model, stage, stage), range(6, 10), stage.lr) == losses[6:]
    assert all(torch.equal(weight, lab.weights(going_on)[key]) for key, weight in lab.weights(model).items())


@pytest.mark.parametrize("name", NAMES)
def test_reset_is_a_fresh_optimizer(name, lab):
    model, previous, state = trained(lab, "adamw")
    other, stage = copy.deepcopy(model), lab.stage(name)
    reset = begin(lab, state, model, previous, stage, "reset")
    assert not reset.export_state().tensors
    losses = lab.train(other, lab.optimizer(other, stage), range(3), stage.lr)
    assert lab.train(model, reset, range(3), stage.lr) == losses


def test_pairs_without_a_row_can_only_be_reset(lab):
    model, previous, state = trained(lab, "muon")
    with pytest.raises(StudyError, match="cannot carry state from muon to soap"):
        begin(lab, state, model, previous, lab.stage("soap"))


def test_the_carried_state_is_a_copy(lab):
    model, previous, state = trained(lab, "adamw")
    before = copy.deepcopy(state)
    lab.train(model, begin(lab, state, model, previous, lab.stage("sf_adamw")), range(3), 1e-2)
    assert all(torch.equal(tensor, before.tensors[key]) for key, tensor in state.tensors.items())


@pytest.mark.parametrize(("source", "target"), [("adamw", "adamw"), ("muon", "muon"), ("adamw", "sf_adamw")])
def test_changed_settings_hold_from_the_first_step(source, target, lab):
    changed = {"beta2": 0.5}
    model, previous, state = trained(lab, source)
    second = copy.deepcopy(model)
    stages = [lab.stage(target), lab.stage(target, hparams=changed)]
    for each, stage in zip((model, second), stages, strict=True):
        lab.train(each, begin(lab, state, each, previous, stage), range(6, 8), stage.lr)
    name = "model.embed_tokens.weight"
    assert not torch.equal(lab.weights(model)[name], lab.weights(second)[name])


@pytest.mark.parametrize("name", ["adamw", "ademamix", "muon", "sf_adamw", "soap"])
@pytest.mark.parametrize(("first", "second"), [p for p in itertools.product(TRAINABLE, TRAINABLE) if p[0] != p[1]])
def test_every_change_of_the_trainable_parameters(name, first, second, lab):
    model, previous, state = trained(lab, name, steps=2, trainable=first)
    stage = lab.stage(name, trainable=second)
    optimizer = begin(lab, state, model, previous, stage)
    before = lab.weights(model)
    lab.train(model, optimizer, range(2, 5), stage.lr)
    learning = {each for names in optimizer.split().values() for each in names}
    assert sum(map(len, optimizer.split().values())) == len(learning)
    for key, weight in lab.weights(model).items():
        assert torch.equal(weight, before[key]) == (key not in learning), key
    assert {key.split("/")[0] for key in optimizer.export_state().tensors} == learning


@pytest.mark.parametrize("name", NAMES)
def test_newcomers_begin_with_a_clock_of_their_own(name, lab):
    """Behind a stage that trained the embeddings alone, all other weights move as in a fresh optimizer."""
    model, previous, state = trained(lab, name, trainable="embeddings", weight_decay=0.0)
    other, stage = copy.deepcopy(model), lab.stage(name, weight_decay=0.0)
    carried = begin(lab, state, model, previous, stage)
    fresh = begin(lab, state, other, previous, stage, "reset")
    lab.train(model, carried, [6], stage.lr)
    lab.train(other, fresh, [6], stage.lr)
    embedding = "model.embed_tokens.weight"
    for key, weight in lab.weights(model).items():
        if key != embedding:
            assert torch.equal(weight, lab.weights(other)[key]), key
    for key, number in carried.export_state().numbers.items():
        if key.endswith("/step"):
            assert number == (7 if key.startswith(embedding) else 1)


def test_a_new_beta1_of_schedule_free_keeps_the_average(lab):
    model, previous, state = trained(lab, "sf_adamw")
    stage = lab.stage("sf_adamw", hparams={"beta1": 0.98})
    averages = []
    for each, next_stage in ((copy.deepcopy(model), previous), (model, stage)):
        optimizer = begin(lab, state, each, previous, next_stage)
        optimizer.eval_mode()
        averages.append(lab.weights(each))
    for key, average in averages[0].items():
        torch.testing.assert_close(averages[1][key], average, rtol=1e-5, atol=1e-7)


def test_leaving_schedule_free_goes_on_from_the_weights_that_learned(lab):
    model, previous, state = trained(lab, "sf_adamw")
    before = lab.weights(model)
    begin(lab, state, model, previous, lab.stage("adamw"))
    assert all(torch.equal(weight, before[key]) for key, weight in lab.weights(model).items())
