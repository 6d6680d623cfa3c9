"""Proves that a folded average takes the place of the weights where a stage ends, for every optimizer, and that
training goes on from it."""

from __future__ import annotations

import pytest
import torch

from mbo_search.optim.regularizers import Regularizers, begin_regularizers
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import Regularizer

DECAY = 0.75


def trained(lab, optimizer, *, steps=4, **settings):
    """A model after some steps, its averages written out slowly."""
    stage = lab.stage(optimizer, regularizers=(Regularizer(kind="ema_fold", strength=DECAY),), **settings)
    model = lab.model()
    built = lab.optimizer(model, stage)
    regularizers = begin_regularizers(model, stage, Regularizers())
    averages = lab.weights(model)
    for step in range(steps):
        lab.train(model, built, [step], stage.lr)
        regularizers.after_step(model, built, stage.lr)
        averages = {
            name: DECAY * averages[name] + (1 - DECAY) * weight for name, weight in lab.weights(model).items()
        }
    return model, built, regularizers, averages


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_the_average_becomes_the_weights_that_are_evaluated_and_trained(optimizer, lab):
    model, built, regularizers, averages = trained(lab, optimizer)
    before = {
        name: tensor.clone() for name, tensor in built.export_state().tensors.items() if not name.endswith("/z")
    }
    regularizers.at_stage_end(model, built)
    folded = lab.weights(model)
    built.eval_mode()
    for name, average in averages.items():
        torch.testing.assert_close(folded[name], average)
        torch.testing.assert_close(dict(model.named_parameters())[name].detach(), average)
    built.train_mode()
    after = built.export_state().tensors
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(loss == loss for loss in lab.train(model, built, range(4, 6), 1e-4))


def test_frozen_parameters_keep_their_bits(lab):
    plain = lab.weights(lab.model())
    model, built, regularizers, _ = trained(lab, "adamw", trainable="mlp")
    regularizers.at_stage_end(model, built)
    moved = {name for name, weight in lab.weights(model).items() if not torch.equal(weight, plain[name])}
    assert moved == {name for name in plain if ".mlp." in name}


def test_it_is_not_the_average_that_is_measured_beside_the_weights(lab):
    _, _, regularizers, _ = trained(lab, "adamw")
    assert regularizers.ema is None
