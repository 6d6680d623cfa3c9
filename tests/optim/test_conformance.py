"""Proves of every optimizer of the catalogue alike: it learns, keeps types, goes on bit for bit from an exported
state, uses the learning rate that was set and no other, and decays weights by lr * weight_decay exactly."""

import copy

import pytest
import torch
from torch import nn

from mbo_search.optim.constructors import CONSTRUCTORS
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

NAMES = sorted(OPTIMIZERS)
every_optimizer = pytest.mark.parametrize("name", NAMES)


class Bowl(nn.Module):
    """A quadratic with a hidden matrix, an embedding and a norm; its bottom is where every weight is 0.3."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.model = nn.ModuleDict({"embed": nn.Embedding(6, 4), "layers": nn.ModuleList([nn.ModuleDict()])})
        self.model["layers"][0]["mlp"] = nn.Linear(5, 4, bias=False)
        self.model["layers"][0]["norm"] = nn.RMSNorm(4)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self):
        return sum((parameter - 0.3).square().sum() for parameter in self.parameters())


def test_constructors_and_catalogue_have_the_same_names():
    assert set(CONSTRUCTORS) == set(OPTIMIZERS)


@every_optimizer
def test_constructor_and_catalogue_agree_on_hparams(name, lab):
    for missing in OPTIMIZERS[name].hparams:
        stage = lab.stage(name)
        broken = stage.model_copy(update={"hparams": {k: v for k, v in stage.hparams.items() if k != missing}})
        with pytest.raises(KeyError, match=missing):
            lab.optimizer(lab.model(), broken)


@every_optimizer
def test_descends_into_a_quadratic_bowl(name, lab):
    model = Bowl()
    lr = {"sgd_nesterov": 0.01, "muon": 0.2}.get(name, 0.05)
    short_memory = {"beta3": 0.95} if name == "ademamix" else {}
    optimizer = lab.optimizer(model, lab.stage(name, weight_decay=0.0, hparams=short_memory))
    start = model().item()
    for step in range(150):
        optimizer.set_lr(lr * (1 - step / 150))
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
    optimizer.eval_mode()
    assert model().item() < 0.02 * start


@every_optimizer
def test_learns_a_language(name, lab):
    model = lab.model()
    stage = lab.stage(name)
    losses = lab.train(model, lab.optimizer(model, stage), range(40), stage.lr)
    assert losses[0] == pytest.approx(torch.tensor(40.0).log().item(), abs=0.4)
    assert sum(losses[-5:]) / 5 < min(losses[0], 3.69) - 0.1


@every_optimizer
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_the_type_of_weights_and_state(name, dtype, lab):
    model = lab.model().to(dtype)
    optimizer = lab.optimizer(model, lab.stage(name))
    lab.train(model, optimizer, range(3), 1e-3)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    tensors = optimizer.export_state().tensors
    assert {tensor.dtype for slot, tensor in tensors.items() if "mu_product" not in slot} == {dtype}
    assert all(torch.isfinite(tensor).all() for tensor in (*tensors.values(), *model.parameters()))


@every_optimizer
def test_an_exported_state_goes_on_bit_for_bit(name, lab):
    stage, model, losses, saved = lab.stage(name), lab.model(), [], {}
    optimizer = lab.optimizer(model, stage)
    for step in range(14):
        if step in {0, 1, 2, 7, 10, 11}:
            saved[step] = copy.deepcopy(model), lab.saved(optimizer.export_state())
        losses += lab.train(model, optimizer, [step], stage.lr)
    for step, (resumed, state) in saved.items():
        after = lab.optimizer(resumed, stage)
        after.import_state(state)
        assert lab.train(resumed, after, range(step, 14), stage.lr) == losses[step:], step
        for key, weight in lab.weights(model).items():
            assert torch.equal(weight, lab.weights(resumed)[key]), (step, key)


@every_optimizer
def test_importing_and_exporting_changes_nothing(name, lab):
    model, stage = lab.model(), lab.stage(name)
    optimizer = lab.optimizer(model, stage)
    lab.train(model, optimizer, range(3), stage.lr)
    state = lab.saved(optimizer.export_state())
    copied = lab.optimizer(copy.deepcopy(model), stage)
    copied.import_state(state)
    again = copied.export_state()
    assert again.numbers == state.numbers
    assert again.tensors.keys() == state.tensors.keys()
    for key, tensor in again.tensors.items():
        assert torch.equal(tensor, state.tensors[key])
        assert tensor.data_ptr() != state.tensors[key].data_ptr()


@every_optimizer
def test_a_foreign_state_is_refused(name, lab):
    other = "lion" if name == "sgd_nesterov" else "sgd_nesterov"
    model = lab.model()
    source = lab.optimizer(model, lab.stage(other))
    lab.train(model, source, range(1), 1e-3)
    with pytest.raises(AssertionError, match="foreign optimizer state"):
        lab.optimizer(model, lab.stage(name)).import_state(source.export_state())


@every_optimizer
def test_a_step_at_lr_zero_moves_nothing(name, lab):
    model, stage = lab.model(), lab.stage(name)
    optimizer = lab.optimizer(model, stage)
    lab.train(model, optimizer, range(3), 0.0)
    untouched = lab.weights(lab.model())
    assert all(torch.equal(weight, untouched[key]) for key, weight in lab.weights(model).items())


@every_optimizer
def test_the_lr_that_is_set_is_the_lr_that_is_used(name, lab):
    moved = []
    for lr in (1e-4, 2e-4):
        model = lab.model().double()
        optimizer = lab.optimizer(model, lab.stage(name, weight_decay=0.0))
        lab.train(model, optimizer, range(1), 0.0)
        before = lab.weights(model)
        lab.train(model, optimizer, range(1), lr)
        moved.append({key: weight - before[key] for key, weight in lab.weights(model).items()})
    for key in moved[0]:
        assert moved[0][key].abs().max() > 0
        torch.testing.assert_close(moved[1][key], 2 * moved[0][key], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["muon", "soap"])
def test_the_adamw_part_gets_its_share_of_the_lr(name, lab):
    moved = []
    for ratio in (1.0, 0.25):
        model = lab.model().double()
        stage = lab.stage(name, weight_decay=0.0, hparams={"aux_lr_ratio": ratio})
        optimizer = lab.optimizer(model, stage)
        lab.train(model, optimizer, range(1), 0.0)
        before = lab.weights(model)
        lab.train(model, optimizer, range(1), 1e-4)
        moved.append({key: weight - before[key] for key, weight in lab.weights(model).items()})
    split = optimizer.split()
    for key in split["rest"]:
        torch.testing.assert_close(moved[1][key], 0.25 * moved[0][key], rtol=1e-6, atol=1e-12)
    for key in split["matrices"]:
        assert torch.equal(moved[1][key], moved[0][key])


@every_optimizer
def test_without_gradients_weights_decay_by_lr_times_weight_decay(name, lab):
    lr, weight_decay, ratio = 0.01, 0.5, 0.5
    hparams = {"aux_lr_ratio": ratio} if "aux_lr_ratio" in OPTIMIZERS[name].hparams else {}
    model = lab.model()
    optimizer = lab.optimizer(model, lab.stage(name, weight_decay=weight_decay, hparams=hparams))
    before = lab.weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.set_lr(lr)
    optimizer.step()
    rest = optimizer.split().get("rest", ())
    decays = OPTIMIZERS[name].decoupled_decay
    for key, weight in lab.weights(model).items():
        factor = 1 - lr * (ratio if key in rest else 1.0) * weight_decay if decays and weight.ndim == 2 else 1.0
        if name == "sf_adamw":
            torch.testing.assert_close(weight, before[key] * factor, rtol=1e-6, atol=0.0)
        else:
            assert torch.equal(weight, before[key] * factor), key


@every_optimizer
def test_no_step_without_a_learning_rate(name, lab):
    model, stage = lab.model(), lab.stage(name)
    optimizer = lab.optimizer(model, stage)
    lab.loss(model, 0).backward()
    with pytest.raises(AssertionError, match="set_lr"):
        optimizer.step()
    optimizer.set_lr(1e-3)
    optimizer.step()
    optimizer.import_state(lab.saved(optimizer.export_state()))
    with pytest.raises(AssertionError, match="set_lr"):
        optimizer.step()


@every_optimizer
def test_evaluating_never_changes_what_is_trained(name, lab):
    stage = lab.stage(name)
    plain, watched = lab.model(), lab.model()
    losses = lab.train(plain, lab.optimizer(plain, stage), range(8), stage.lr)
    optimizer, watched_losses = lab.optimizer(watched, stage), []
    for step in range(8):
        optimizer.eval_mode()
        optimizer.eval_mode()
        lab.loss(watched, 99)
        optimizer.train_mode()
        watched_losses += lab.train(watched, optimizer, [step], stage.lr)
    assert watched_losses == losses
    optimizer.train_mode()
    assert all(torch.equal(weight, lab.weights(plain)[key]) for key, weight in lab.weights(watched).items())


@every_optimizer
def test_only_schedule_free_evaluates_other_weights_than_it_trains(name, lab):
    model, stage = lab.model(), lab.stage(name)
    optimizer = lab.optimizer(model, stage)
    lab.train(model, optimizer, range(4), stage.lr)
    trained = lab.weights(model)
    optimizer.eval_mode()
    same = all(torch.equal(weight, trained[key]) for key, weight in lab.weights(model).items())
    assert same == (name != "sf_adamw")


@every_optimizer
def test_state_size_is_what_the_catalogue_says(name, lab):
    model = lab.model(width=32, layers=4)
    optimizer = lab.optimizer(model, lab.stage(name))
    lab.train(model, optimizer, range(2), 1e-3)
    floats = sum(tensor.numel() for tensor in optimizer.export_state().tensors.values())
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert floats / num_parameters == pytest.approx(OPTIMIZERS[name].state_floats, rel=0.25)
