"""Proves that the catalogue is consistent: defaults lie in their ranges, names are fit for keys and files."""

from __future__ import annotations

import re

import pytest

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lookup import CORPORA, MODEL_SIZES
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.lr_shapes import annealing_factor
from mbo_search.study.spec.sections.model import ModelSpec
from tests.study.builders import lr_shape

SETTINGS = [
    (owner, name, info)
    for table in (OPTIMIZERS, LR_SHAPES)
    for owner, entry in table.items()
    for name, info in entry.hparams.items()
]


@pytest.mark.parametrize("table", [OPTIMIZERS, LR_SHAPES, REGULARIZERS, CORPORA, MODEL_SIZES])
def test_names_are_plain_words(table):
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in table)


@pytest.mark.parametrize(("owner", "name", "info"), SETTINGS, ids=lambda value: str(value)[:20])
def test_defaults_lie_in_their_ranges(owner, name, info):
    if info.choices:
        assert info.default in info.choices
    else:
        assert info.low <= info.default <= info.high
        assert not info.whole or info.default == round(info.default)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reference_learning_rates_lie_in_their_search_ranges(name):
    info = OPTIMIZERS[name]
    assert 0 < info.lr_low <= info.reference_lr <= info.lr_high


@pytest.mark.parametrize("name", REGULARIZERS)
def test_sensible_strengths_are_allowed_and_can_be_searched(name):
    info = REGULARIZERS[name]
    assert info.low <= info.search_low < info.search_high <= info.high
    assert not info.log or info.search_low > 0


@pytest.mark.parametrize("name", LR_SHAPES)
def test_shapes_that_are_said_to_anneal_end_close_to_zero(name):
    clock = StageClock(stage_steps=1000, warmup_steps=0, budget_steps=1000)
    assert (annealing_factor(lr_shape(name), 999, clock) < 0.05) == LR_SHAPES[name].anneals


@pytest.mark.parametrize("name", MODEL_SIZES)
def test_presets_are_models_that_can_be_built(name):
    size = MODEL_SIZES[name]
    spec = ModelSpec(layers=size.layers, width=size.width, heads=size.heads, context=size.context)
    assert spec.width % (2 * spec.heads) == 0


@pytest.mark.parametrize("table", [OPTIMIZERS, LR_SHAPES, REGULARIZERS])
def test_every_method_names_its_paper(table):
    assert all(re.search(r"[12][0-9]{3}", info.paper) for info in table.values())
