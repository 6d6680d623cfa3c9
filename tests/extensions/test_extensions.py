"""Proves how objects of other packages are found: lazily, with their origin, without harm from broken ones."""

import os
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from mbo_search import extensions
from mbo_search.errors import UserError
from mbo_search.extensions import (
    BUILT_IN,
    LR_SHAPE_GROUP,
    OPTIMIZER_GROUP,
    PATH_VARIABLE,
    REFERENCES_VARIABLE,
    THIS_PROGRAM,
    register,
    resolve,
    with_extensions,
    worker_environment,
)
from mbo_search.study.catalogue.entries import LrShapeDefinition
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.study.spec.segments import BudgetSteps, cut
from tests.study.builders import stage

MODULE = """
from mbo_search.study.catalogue.entries import LrShapeDefinition

HALVING = LrShapeDefinition(
    name="{name}", version="1", summary="halves", anneals=False, factor=lambda step, hparams, clock: 0.5
)
"""


def shape(name="halving"):
    return LrShapeDefinition(
        name=name, version="1", summary="halves", anneals=False, factor=lambda step, hparams, clock: 0.5
    )


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Packages that are installed for the test: name of the module -> what it holds."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(module, text, attribute="HALVING", group=LR_SHAPE_GROUP):
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        points = [EntryPoint(module, f"{module}:{attribute}", group)]
        monkeypatch.setattr(extensions, "_points", lambda: EntryPoints(points))
        extensions._of_packages.cache_clear()

    yield install
    extensions._of_packages.cache_clear()
    for module in ("halving_package", "clashing_package", "broken_package"):
        sys.modules.pop(module, None)


def test_an_object_of_a_package_is_found_with_its_origin(installed):
    installed("halving_package", MODULE.format(name="halving"))
    assert LR_SHAPES["halving"].factor(0, {}, None) == 0.5
    assert list(LR_SHAPES) == [*LR_SHAPES.built_in, "halving"]
    assert len(LR_SHAPES) == len(LR_SHAPES.built_in) + 1
    assert LR_SHAPES.origin("halving") == "halving_package"
    assert LR_SHAPES.origin("linear") == BUILT_IN


def test_built_in_names_need_no_look_at_packages(monkeypatch):
    monkeypatch.setattr(extensions, "discover", lambda group: pytest.fail("packages were looked at"))
    assert OPTIMIZERS["adamw"].name == "adamw"


@pytest.mark.parametrize("text", ["raise RuntimeError('out of order')", "import not_there_at_all", "HALVING = 3"])
def test_a_broken_package_is_named_in_a_warning_and_left_out(text, installed, caplog):
    installed("broken_package", text)
    extensions._warn_once.cache_clear()
    assert list(LR_SHAPES) == list(LR_SHAPES.built_in)
    assert "broken_package" in caplog.text
    assert "left out" in caplog.text


def test_a_name_that_is_taken_is_an_error_that_names_the_package(installed):
    installed("clashing_package", MODULE.format(name="linear"))
    with pytest.raises(UserError, match="clashing_package brings it, and so does mbo-search"):
        list(LR_SHAPES)


def test_objects_are_known_as_long_as_the_block_lasts():
    mine = shape()
    with with_extensions(mine):
        assert LR_SHAPES["halving"] is mine
        assert LR_SHAPES.origin("halving") == THIS_PROGRAM
        assert "halving" not in OPTIMIZERS
    assert "halving" not in LR_SHAPES


def test_two_objects_of_one_name_are_an_error_and_the_same_one_twice_is_not():
    mine = shape()
    with with_extensions(mine, mine):
        assert list(LR_SHAPES).count("halving") == 1
        with with_extensions(shape()), pytest.raises(UserError, match="this program brings it"):
            list(LR_SHAPES)


def test_what_is_not_an_extension_is_refused():
    with pytest.raises(UserError, match="is not an optimizer"), with_extensions("os:sep"):
        pass
    assert resolve("os:sep") == os.sep


@pytest.mark.parametrize("reference", ["not_there:IT", "os:not_there", "os"])
def test_a_reference_that_leads_nowhere_says_so(reference):
    with pytest.raises(UserError, match="cannot be imported"):
        register(reference)


def test_workers_get_references_and_the_folder_to_import_from(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_to_send.py").write_text(MODULE.format(name="sent"), encoding="utf-8")
    assert worker_environment() == {}
    with with_extensions("mine_to_send:HALVING"):
        sent = worker_environment()
    assert sent == {REFERENCES_VARIABLE: "mine_to_send:HALVING", PATH_VARIABLE: str(tmp_path.resolve())}
    assert "sent" not in LR_SHAPES
    monkeypatch.setenv(REFERENCES_VARIABLE, sent[REFERENCES_VARIABLE])
    monkeypatch.setenv(PATH_VARIABLE, sent[PATH_VARIABLE])
    assert LR_SHAPES["sent"].name == "sent"
    assert worker_environment() == sent, "workers of workers see the same"


def test_what_workers_cannot_import_is_refused_with_its_name():
    with (
        with_extensions(shape("only_here")),
        pytest.raises(UserError, match="only_here: cannot be imported"),
    ):
        worker_environment()


def test_groups_are_those_of_the_documentation():
    assert OPTIMIZER_GROUP == "mbo_search.optimizers"
    assert LR_SHAPES.group == "mbo_search.lr_shapes"


def first_key(optimizer="adamw", regularizer=None):
    """Key after the first segment of a schedule of one stage."""
    chosen = () if regularizer is None else (Regularizer(kind=regularizer, strength=0.1),)
    one = stage(optimizer=optimizer, regularizers=chosen)
    budget = BudgetSteps(num_segments=2, steps_per_segment=2, batch_tokens=8)
    return segment_keys("root", cut(Schedule(stages=(one,)), budget))[0]


@pytest.mark.parametrize("known", ["optimizer", "regularizer"])
def test_keys_hold_the_version_of_what_is_not_built_in(known):
    keys = set()
    for version in ("1", "2"):
        optimizer = replace(OPTIMIZERS["adamw"], name="theirs", version=version)
        regularizer = replace(REGULARIZERS["z_loss"], name="their_loss", version=version)
        with with_extensions(optimizer, regularizer):
            kinds = {"optimizer": {"optimizer": "theirs"}, "regularizer": {"regularizer": "their_loss"}}[known]
            keys.add(first_key(**kinds))
    assert len(keys) == 2


def test_keys_of_what_is_built_in_hold_no_version():
    before = first_key(regularizer="z_loss")
    with with_extensions(replace(OPTIMIZERS["adamw"], name="theirs", version="9")):
        assert first_key(regularizer="z_loss") == before
