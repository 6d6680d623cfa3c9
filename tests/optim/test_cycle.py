"""Proves that a block which rests is as if the steps in between had not been: neither its weights nor its state nor
its step count move, whatever acts on weights; and that descent block by block finds the joint optimum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mbo_search.errors import StudyError
from mbo_search.optim.handover import hand_over
from mbo_search.optim.regularizers import Regularizers, begin_regularizers
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.testing.lab import assert_equal
from tests.study.builders import schedule

BLOCKS = ("attention", "mlp+embeddings")
TURNS = BlockCycle(blocks=BLOCKS, tokens=2)
DECAYS = {"weight_decay": 0.3, "regularizers": (Regularizer(kind="l1", strength=0.05),)}


def gradient(name, parameter, step):
    """Some gradient of a parameter at its own step, whatever else happens."""
    generator = torch.Generator().manual_seed(1000 * step + len(name))
    return torch.randn(parameter.shape, generator=generator)


def take_steps(model, optimizer, stage, turns):
    """Take a step for each turn, with gradients that follow from a parameter's own steps alone."""
    regularizers = begin_regularizers(model, stage, Regularizers())
    own_steps = dict.fromkeys(dict(model.named_parameters()), 0)
    for blocks in turns:
        optimizer.set_lr(stage.lr)
        optimizer.set_learning(blocks)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.grad = gradient(name, parameter, own_steps[name])
                own_steps[name] += 1
        optimizer.step()
        optimizer.zero_grad()
        regularizers.after_step(model, optimizer, stage.lr)


def own_state(optimizer, names):
    state = optimizer.export_state()
    mine = {key: value for key, value in state.tensors.items() if key.rpartition("/")[0] in names}
    return mine, {key: value for key, value in state.numbers.items() if key.rpartition("/")[0] in names}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("block", [0, 1])
def test_a_block_that_rested_equals_one_that_was_trained_alone(lab, name, block):
    turns = [(0,), (0,), (1,), (1,), (0,), (0,), (1,), (1,)]
    stage = lab.stage(name, cycle=TURNS, trainable="+".join(BLOCKS), **DECAYS)
    alone = lab.stage(name, trainable=BLOCKS[block], **DECAYS)
    cycled, single = lab.model(), lab.model()
    found, expected = lab.optimizer(cycled, stage), lab.optimizer(single, alone)
    take_steps(cycled, found, stage, turns)
    take_steps(single, expected, alone, [None] * 4)
    names = {each for each, parameter in single.named_parameters() if parameter.requires_grad}
    weights, others = lab.weights(cycled), lab.weights(single)
    assert_equal({each: weights[each] for each in names}, {each: others[each] for each in names}, name)
    tensors, numbers = own_state(found, names)
    same_tensors, same_numbers = own_state(expected, names)
    assert_equal(tensors, same_tensors, name)
    assert numbers == same_numbers


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_state_in_the_middle_of_a_turn_is_read_back_bit_for_bit(lab, name):
    """Before the third step the second block has not learned at all."""
    stage = lab.stage(name, cycle=TURNS, **DECAYS)
    turns = [TURNS.learning(step) for step in range(7)]
    whole, resumed = lab.model(), lab.model()
    expected, first = lab.optimizer(whole, stage), lab.optimizer(resumed, stage)
    for step, blocks in enumerate(turns):
        if step in (1, 2, 3, 4):
            again = lab.optimizer(resumed, stage)
            again.import_state(lab.saved(first.export_state()))
            first = again
        take_steps(whole, expected, stage, [blocks])
        take_steps(resumed, first, stage, [blocks])
        first.eval_mode()
        first.train_mode()
    assert_equal(lab.weights(resumed), lab.weights(whole), name)
    assert_equal(first.export_state().tensors, expected.export_state().tensors, name)
    assert first.export_state().numbers == expected.export_state().numbers


def test_each_step_of_another_stage_takes_over_what_every_block_has(lab):
    """Into blocks in turn and out of them: all moments and counts come along, those of a block that rests too."""
    plain, cycled = lab.stage("adamw"), lab.stage("adamw", cycle=TURNS)
    model = lab.model()
    optimizer = lab.optimizer(model, plain)
    take_steps(model, optimizer, plain, [None] * 3)
    for previous, stage, turns in ((plain, cycled, [(0,), (1,), (1,)]), (cycled, plain, [])):
        state = lab.saved(optimizer.export_state())
        optimizer = hand_over(
            state, model=model, previous=previous, stage=stage, mode="carry", budget_steps=lab.budget_steps
        )
        assert_equal(optimizer.export_state().tensors, state.tensors, stage.name)
        assert optimizer.export_state().numbers == state.numbers
        take_steps(model, optimizer, stage, turns)
    counts = {key.rsplit("/", 1)[0]: value for key, value in optimizer.export_state().numbers.items()}
    assert counts["model.layers.0.self_attn.q_proj.weight"] == 4
    assert counts["model.layers.0.mlp.up_proj.weight"] == 5
    assert counts["model.norm.weight"] == 6  # no block names it, so that it learned at every step


def test_a_block_of_which_the_stage_trains_nothing_is_a_mistake(lab):
    with pytest.raises(StudyError, match="names nothing that the stage trains"):
        lab.optimizer(lab.model(), lab.stage("adamw", cycle=TURNS, trainable="attention"))


class Quadratic(nn.Module):
    """f(x) = (x - c)' A (x - c) / 2 over three blocks that are coupled through A."""

    SIZES = (("layers.0.attn.weight", 3), ("layers.0.mlp.weight", 4), ("embed", 2))

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList([nn.Module()])
        layer = self.layers[0]
        layer.attn, layer.mlp = nn.Module(), nn.Module()
        layer.attn.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        layer.mlp.weight = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        self.embed = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        roots = torch.randn(9, 9, generator=generator, dtype=torch.float64)
        self.matrix = roots @ roots.T / 9 + 0.5 * torch.eye(9, dtype=torch.float64)
        self.optimum = torch.randn(9, generator=generator, dtype=torch.float64)

    def point(self):
        return torch.cat([self.layers[0].attn.weight, self.layers[0].mlp.weight, self.embed])

    def loss(self):
        away = self.point() - self.optimum
        return away @ self.matrix @ away / 2


@pytest.mark.parametrize("mode", ["turns", "thaw"])
def test_descent_block_by_block_reaches_the_joint_optimum_of_a_quadratic(lab, mode):
    cycle = BlockCycle(blocks=("attention", "mlp", "embeddings"), tokens=50, mode=mode)
    stage = lab.stage("sgd_nesterov", cycle=cycle, weight_decay=0.0, lr=0.2, hparams={"momentum": 0.5})
    model = Quadratic()
    optimizer = lab.optimizer(model, stage)
    assert not torch.allclose(
        model.matrix[:3, 3:], torch.zeros(3, 6, dtype=torch.float64)
    )  # the blocks are coupled
    seen = set()
    for segment in cut(schedule(stage), BudgetSteps(num_segments=4, steps_per_segment=200, batch_tokens=10)):
        for step in range(segment.first_step, segment.last_step):
            optimizer.set_lr(segment.lr(step))
            optimizer.set_learning(segment.learning_blocks(step))
            model.loss().backward()
            seen.add(tuple(parameter.grad is not None for parameter in model.parameters()))
            optimizer.step()
            optimizer.zero_grad()
    assert len(seen) == 3
    torch.testing.assert_close(model.point().detach(), model.optimum, atol=1e-9, rtol=0)
