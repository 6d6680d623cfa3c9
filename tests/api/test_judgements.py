"""Proves that Python judges as the command line does."""

from __future__ import annotations

import mbo_search as mbo
from tests.judging.programs import results

BASE = {seed: 4 + 0.01 * (seed * 5 % 7) for seed in range(12)}


def test_a_change_is_judged(tmp_path, capsys):
    better = {seed: loss - 0.1 - 0.01 * (seed % 3) for seed, loss in BASE.items()}
    sides = results(tmp_path / "a", BASE), results(tmp_path / "b", better)
    found = mbo.judge(*sides, mbo.JudgeQuestion(worthwhile_percent=1.0), out=tmp_path / "out")
    assert isinstance(found, mbo.Judgement)
    assert found.decision == "keep"
    assert "pair 12" in capsys.readouterr().err


def test_noise_is_measured_in_silence_on_request(tmp_path, capsys):
    noise = mbo.measure_noise(results(tmp_path / "a", BASE), out=tmp_path / "out", options=mbo.Options(quiet=True))
    assert noise.num_runs == 12
    assert capsys.readouterr().err == ""
