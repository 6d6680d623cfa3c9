"""Proves that what cannot be used is said before a search begins, all at once, and that loggers can be added."""

from __future__ import annotations

import pytest

from mbo_search.errors import UserError
from mbo_search.export.loggers.registry import LOGGERS, LoggerDefinition, open_loggers
from mbo_search.extensions import with_extensions
from tests.export.loggers.kept import KeepingLogger


def test_all_mistakes_are_said_at_once():
    with pytest.raises(UserError) as caught:
        open_loggers(["tensorbord", "mlflow=sqlite:///x.db"])
    unknown, missing = caught.value.problems
    assert "must be one of tensorboard, mlflow, wandb, trackio" in unknown.rule
    assert "tensorboard" in unknown.hint
    assert "mlflow" in missing.rule
    assert missing.hint == "install it: pip install 'mbo-search[mlflow]'"


def test_the_same_twice_is_opened_once_and_two_of_one_class_are_refused():
    assert len(open_loggers(["tensorboard", "tensorboard"])) == 1
    with pytest.raises(UserError, match="KeepingLogger is the name of two loggers"):
        open_loggers([KeepingLogger(), KeepingLogger()])


def test_a_logger_of_one_s_own_gets_its_target():
    targets = []

    def make(target):
        targets.append(target)
        return KeepingLogger()

    with with_extensions(LoggerDefinition(name="own", summary="keeps", make=make)):
        (opened,) = open_loggers(["own=a=b"])
        assert "own" in LOGGERS
    assert targets == ["a=b"]
    assert (opened.name, opened.shown) == ("own=a=b", "own")
