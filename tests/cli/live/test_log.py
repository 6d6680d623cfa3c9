"""Proves that `log` sends a finished run, says how much of it was new, and what failed."""

from __future__ import annotations

import pytest

from mbo_search.export.loggers.registry import LoggerDefinition
from mbo_search.extensions import with_extensions
from mbo_search.testing.runs import build_run
from tests.export.loggers.kept import RaisingLogger


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("runs") / "my run", num_trials=6).path


def test_a_run_is_sent_once(mbo, searched, tmp_path):
    logger = f"tensorboard={tmp_path / 'logs'}"
    document = mbo("log", searched, "--log", logger, "--json").json()
    sent = document["loggers"]["tensorboard"]["sent"]
    assert sent >= 6
    assert len(list((tmp_path / "logs").glob("*/trial-*"))) == sent
    again = mbo("log", searched, "--log", logger)
    assert again.code == 0
    assert "tensorboard: 0 trials sent" in again.out


def test_a_failure_is_said_without_a_traceback_and_costs_no_other_logger(mbo, searched):
    raising = LoggerDefinition(name="raising", summary="raises", make=lambda target: RaisingLogger("trial"))
    with with_extensions(raising):
        ended = mbo("log", searched, "--log", "raising", "--log", "tensorboard", "--json")
    assert ended.code == 1
    document = ended.json()["loggers"]
    assert document["raising"] == {"error": "ConnectionError: no answer to trial"}
    assert document["tensorboard"]["sent"] >= 6


def test_no_logger_and_an_unknown_one_are_mistakes(mbo, searched):
    assert mbo("log", searched).code == 2
    ended = mbo("log", searched, "--log", "tensorbord")
    assert ended.code == 2
    assert "tensorboard" in ended.err


def test_loggers_are_listed(mbo):
    document = mbo("list", "loggers", "--json").json()
    assert {"tensorboard", "mlflow", "wandb", "trackio"} <= set(document["entries"])
