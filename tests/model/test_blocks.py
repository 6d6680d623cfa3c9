"""Proves that trainable expressions name the intended weights, each parameter in one kind of block, and that a
wrong expression says what is allowed."""

import pytest

from mbo_search.errors import StudyError
from mbo_search.model.blocks import block_of, set_trainable, trainable_names
from mbo_search.model.decoder import build_decoder
from mbo_search.study.spec.sections.model import ModelSpec


def model_of(tied=True):
    return build_decoder(ModelSpec(layers=3, width=16, heads=2, context=8, tie_embeddings=tied), 32, seed=0)


def test_the_four_kinds_split_the_model():
    model = model_of(tied=False)
    kinds = [trainable_names(model, kind) for kind in ("embeddings", "attention", "mlp", "norms")]
    assert sum(map(len, kinds)) == len(list(model.named_parameters()))
    assert frozenset().union(*kinds) == trainable_names(model, "all")


def test_embeddings_hold_the_untied_head():
    assert trainable_names(model_of(tied=False), "embeddings") == {"model.embed_tokens.weight", "lm_head.weight"}
    assert trainable_names(model_of(tied=True), "embeddings") == {"model.embed_tokens.weight"}


def test_a_range_of_layers_includes_both_ends_and_their_norms():
    names = trainable_names(model_of(), "layers:0-1")
    assert {name.split(".")[2] for name in names} == {"0", "1"}
    assert any(block_of(name) == "norms" for name in names)
    assert len(names) == 2 * 9


def test_a_sum_is_the_union():
    model = model_of()
    both = trainable_names(model, "embeddings + layers:2-2")
    assert both == trainable_names(model, "embeddings") | trainable_names(model, "layers:2-2")


@pytest.mark.parametrize("expression", ["heads", "attention+", "", "layers:3-5", "layers:1", "layers:2-1"])
def test_a_wrong_expression_says_what_is_allowed(expression):
    with pytest.raises(StudyError, match="must be `all`, or blocks joined by"):
        trainable_names(model_of(), expression)


def test_only_the_named_parameters_learn_and_others_lose_their_gradients():
    model = model_of()
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()
    names = trainable_names(model, "norms")
    set_trainable(model, names)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (name in names)
        assert (parameter.grad is not None) == (name in names)
