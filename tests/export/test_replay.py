"""A replay meets the recorded loss bit for bit where the numerics match, else it says what differs."""

from __future__ import annotations

import pytest

from mbo_search.errors import DataError, TrialError
from mbo_search.export.replay import TOLERANCE_NATS, replay, restored_study
from mbo_search.study.files.schedule_file import load_schedule_file


@pytest.fixture(scope="module")
def file(run):
    return load_schedule_file(run.best_yaml)


def _with_provenance(file, **changes):
    return file.model_copy(update={"provenance": file.provenance.model_copy(update=changes)})


def test_the_same_machine_gives_the_same_bits(file, cache, tmp_path):
    lines = []
    result = replay(file, cache=cache, folder=tmp_path / "work", log=lines.append)
    assert result.is_comparable
    assert result.is_equal
    assert result.loss == file.provenance.search_loss
    assert (result.is_met, result.tolerance_nats, result.differences) == (True, 0.0, ())
    assert "bit for bit" in result.sentence
    assert result.train_seconds > 0
    assert not (tmp_path / "work").exists()
    assert any("adamw" in line for line in lines)


def test_a_wrong_record_under_equal_numerics_is_a_miss(file, cache, tmp_path):
    wrong = _with_provenance(file, search_loss=file.provenance.search_loss + 1e-6)
    result = replay(wrong, cache=cache, folder=tmp_path / "work")
    assert result.is_comparable
    assert not result.is_met
    assert "although the numerics match" in result.sentence


def test_other_numerics_are_named_even_if_they_change_nothing(file, cache, tmp_path):
    numerics = {**file.provenance.numerics, "torch": "1.0"}
    result = replay(_with_provenance(file, numerics=numerics), cache=cache, folder=tmp_path / "work")
    assert [(difference.name, difference.recorded) for difference in result.differences] == [("torch", "1.0")]
    assert not result.is_comparable
    assert result.tolerance_nats == TOLERANCE_NATS
    assert result.is_equal
    assert result.is_met


def test_a_loss_off_by_rounding_meets_within_the_tolerance_and_a_far_one_does_not(file, cache, tmp_path):
    numerics = {**file.provenance.numerics, "torch": "1.0"}
    recorded = file.provenance.search_loss
    near, far = (
        replay(
            _with_provenance(file, numerics=numerics, search_loss=recorded + offset), cache=cache, folder=tmp_path
        )
        for offset in (TOLERANCE_NATS / 2, TOLERANCE_NATS * 2)
    )
    assert (near.is_met, near.is_equal) == (True, False)
    assert f"meets the recorded loss within {TOLERANCE_NATS:g} nats" in near.sentence
    assert "torch (1.0 -> " in near.sentence
    assert not far.is_met
    assert "misses" in far.sentence


def test_recorded_numerics_are_restored(file):
    study = file.study.model_copy(
        update={"train": file.study.train.model_copy(update={"threads": "auto", "micro_batch": "auto"})}
    )
    train = restored_study(file.model_copy(update={"study": study})).train
    assert (train.threads, train.micro_batch, train.precision) == (1, 8, "float32")


@pytest.mark.parametrize("nonsense", ["", "-1", "0", "x", "9" * 50, None, 1.5, True])
def test_nonsense_numerics_leave_the_settings_of_the_study(file, nonsense):
    numerics = {"threads": nonsense, "micro_batch": nonsense, "precision": nonsense}
    assert restored_study(_with_provenance(file, numerics=numerics)).train == file.study.train


def test_other_text_is_refused_before_training(file, cache, tmp_path):
    with pytest.raises(DataError, match="gives other tokens than were recorded"):
        replay(_with_provenance(file, data_fingerprint="0" * 64), cache=cache, folder=tmp_path / "work")


def test_a_stopped_replay_goes_on_and_still_meets_the_record(file, cache, tmp_path):
    polls = iter(range(10_000))
    with pytest.raises(TrialError) as caught:
        replay(file, cache=cache, folder=tmp_path / "work", stop=lambda: next(polls) >= 13)
    assert caught.value.reason == "signal"
    assert replay(file, cache=cache, folder=tmp_path / "work").is_equal
