"""Proves the division of parameters: every one that learns has exactly one updater, by the documented rule, tied
embeddings count once, and frozen parameters are nowhere."""

import itertools

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

EXPRESSIONS = [
    "+".join(blocks)
    for n in (1, 2)
    for blocks in itertools.combinations(("embeddings", "attention", "mlp", "norms"), n)
]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("trainable", ["all", "layers:1-1", *EXPRESSIONS])
def test_every_learning_parameter_is_in_exactly_one_part(name, tied, trainable, lab):
    model = lab.model(tied=tied)
    split = lab.optimizer(model, lab.stage(name, trainable=trainable)).split()
    names = [each for part in split.values() for each in part]
    assert len(names) == len(set(names))
    assert set(names) == {each for each, parameter in model.named_parameters() if parameter.requires_grad}
    assert names


@pytest.mark.parametrize("name", ["muon", "soap"])
@pytest.mark.parametrize("tied", [True, False])
def test_matrix_optimizers_take_the_hidden_matrices_only(name, tied, lab):
    split = lab.optimizer(lab.model(tied=tied), lab.stage(name)).split()
    per_layer = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert {each.split(".")[-2] for each in split["matrices"]} == set(per_layer)
    assert len(split["matrices"]) == 2 * len(per_layer)
    assert "model.embed_tokens.weight" in split["rest"]
    assert ("lm_head.weight" in split["rest"]) == (not tied)


def test_a_part_without_parameters_is_left_out(lab):
    assert set(lab.optimizer(lab.model(), lab.stage("muon", trainable="norms")).split()) == {"rest"}
    assert set(lab.optimizer(lab.model(), lab.stage("muon", trainable="mlp")).split()) == {"matrices"}


def test_frozen_parameters_neither_move_nor_decay(lab):
    model = lab.model()
    stage = lab.stage("adamw", trainable="attention", weight_decay=0.5)
    before = lab.weights(model)
    lab.train(model, lab.optimizer(model, stage), range(2), stage.lr)
    for name, weight in lab.weights(model).items():
        assert (weight == before[name]).all() == ("self_attn" not in name)


def test_an_unknown_block_is_a_mistake_of_the_user(lab):
    with pytest.raises(StudyError, match="layers:7-9"):
        lab.optimizer(lab.model(), lab.stage("adamw", trainable="layers:7-9"))
