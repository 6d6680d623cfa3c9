"""Proves that event files hold the curves once, whatever happened before."""

from __future__ import annotations

import shutil
import struct
from collections import Counter

import pytest
from tensorboardX.proto.event_pb2 import Event

from mbo_search.export.loggers.feed import send_run
from mbo_search.export.loggers.registry import LOGGERS, open_loggers
from mbo_search.testing import check_logger


def send(folder, target="tensorboard"):
    (named,) = open_loggers([target])
    return send_run(named, folder)


def scalars(folder):
    """All (tag, step, value) of the event files of a folder."""
    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            at += 16 + length
    return found


@pytest.fixture
def folder(logged, tmp_path):
    shutil.copytree(logged.bare.path, tmp_path / "run")
    return tmp_path / "run"


def test_it_passes_the_suite_of_loggers(tmp_path):
    check_logger(LOGGERS["tensorboard"], str(tmp_path))


def test_the_curve_of_a_trial_is_there(folder, logged):
    send(folder)
    curves = logged.bare.curves
    trial = int(curves["trial"].iloc[0])
    own = curves[curves["trial"] == trial]
    found = scalars(folder / "tensorboard" / f"trial-{trial:04d}")
    losses = [(step, value) for tag, step, value in found if tag == "trial/val_loss"]
    assert [step for step, _ in losses] == list(own["step"])
    assert [value for _, value in losses] == pytest.approx(list(own["loss"]), rel=1e-6)
    assert "_hparams_/session_start_info" in {tag for tag, _, _ in found}


def test_the_search_shows_how_far_it_has_come(folder, logged):
    send(folder)
    found = scalars(folder / "tensorboard" / "search")
    steps = [step for tag, step, _ in found if tag == "search/best_val_loss"]
    assert steps == [trial.number for trial in logged.kept.trials]
    assert "verdict/text_summary" in {tag for tag, _, _ in found}


def test_nothing_is_there_twice(folder):
    send(folder)
    (folder / "loggers" / "tensorboard.json").unlink()
    assert send(folder) == 0
    (folder / "tensorboard" / "trial-0001" / "logged-trial").unlink()  # as if it had been left half written
    assert send(folder) == 1
    for trial in (folder / "tensorboard").glob("trial-*"):
        assert max(Counter((tag, step) for tag, step, _ in scalars(trial)).values()) == 1


def test_two_searches_share_a_log_folder(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other" / "run")
    for one in (folder, tmp_path / "other" / "run"):
        send(one, f"tensorboard={tmp_path / 'logs'}")
    assert len(list((tmp_path / "logs").iterdir())) == 2
