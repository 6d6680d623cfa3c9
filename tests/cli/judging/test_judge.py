"""Proves what `judge` prints, and the exit codes that a script or an agent goes by."""

from __future__ import annotations

import shlex
import sys

import pytest

from tests.judging.programs import program, results, training

BASE = {seed: 4 + 0.01 * (seed % 4) for seed in range(1, 9)}
NOISE = [0.01, -0.01, 0.005, 0.0, -0.004, 0.008, 0.002, -0.007]


@pytest.fixture
def sides(tmp_path):
    """Two folders of results; the second gains so much, with so much more noise."""

    def sides(gain: float, scale: float = 1.0) -> tuple[str, ...]:
        losses = {seed: BASE[seed] - gain + scale * noise for seed, noise in zip(BASE, NOISE, strict=True)}
        baseline, candidate = results(tmp_path / "a", BASE), results(tmp_path / "b", losses)
        return ("judge", "--baseline", str(baseline), "--candidate", str(candidate), "--out", str(tmp_path / "out"))

    return sides


@pytest.mark.parametrize(
    ("gain", "scale", "code", "word"), [(0.1, 1, 0, "keep"), (0.0, 1, 3, "discard"), (0.02, 5, 4, "undecided")]
)
def test_each_decision_has_its_word_and_exit_code(mbo, sides, gain, scale, code, word):
    ended = mbo(*sides(gain, scale), "--quiet")
    assert (ended.code, ended.out, ended.err) == (code, f"{word}\n", "")


def test_json_holds_everything(mbo, sides):
    ended = mbo(*sides(0.1), "--json")
    document = ended.json()
    assert document["schema"] == "mbo-search/judge/1"
    assert (document["decision"], document["num_pairs"], len(document["pairs"])) == ("keep", 8, 8)
    assert document["low"] < document["mean_gain"] < document["high"]


def test_people_read_a_sentence_and_what_to_do(mbo, sides):
    ended = mbo(*sides(0.02, 5))
    assert ended.out.startswith("Undecided. Gain")
    assert "more pairs would probably decide" in ended.out
    assert "--max-seeds" in ended.out
    assert "pair 8, seed 8" in ended.err


def test_a_percentage_is_of_the_metric(mbo, sides):
    assert mbo(*sides(0.1), "--worthwhile", "10%", "--quiet").out == "discard\n"


def test_own_noise_is_measured_and_nothing_is_kept(mbo, tmp_path):
    command = shlex.join(["judge", "--aa"])
    folder = results(tmp_path / "a", {seed: 4 + 0.01 * (seed * 5 % 7) for seed in range(12)})
    ended = mbo(*shlex.split(command), "--baseline", folder, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "standard deviation" in ended.out
    assert "pairs find a gain of" in ended.out
    assert "as it should be" in ended.out
    document = mbo("judge", "--aa", "--baseline", folder, "--out", tmp_path / "out", "--json").json()
    assert document["schema"] == "mbo-search/judge-noise/1"
    assert document["control"] != "keep"


def test_runs_that_depend_on_each_other_fail_the_control(mbo, tmp_path):
    folder = results(tmp_path / "a", {seed: 4 - 0.01 * seed + 0.001 * (seed * seed % 7) for seed in range(24)})
    ended = mbo("judge", "--aa", "--baseline", folder, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "which is wrong" in ended.out


def test_a_training_that_does_not_repeat_itself_is_named(mbo, tmp_path):
    command = program(tmp_path, "import random; print('{\"val_loss\": %r}' % random.gauss(4, 0.1))")
    ended = mbo("judge", "--aa", "--baseline", command, "--out", tmp_path / "out", "--max-seeds", 6)
    assert "The same seed does not give the same numbers" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--candidate", "true", "--aa"), "--candidate: is not used with --aa"),
        ((), "--candidate: is missing"),
        (("--aa", "--max-seeds", "5"), "must be at least 6"),
        (("--aa", "--budget", "soon"), "--budget: soon must be a duration"),
        (("--aa", "--worthwhile", "0"), "--worthwhile: 0 must be a percentage"),
        (("--candidate", "no-such-program"), "--candidate: no-such-program cannot be run"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_run(mbo, tmp_path, words, said):
    ended = mbo("judge", "--baseline", sys.executable, *words, "--out", tmp_path / "out")
    assert ended.code == 2
    assert said in ended.err
    assert not (tmp_path / "out").exists()


def test_a_failing_command_ends_with_exit_code_1(mbo, tmp_path):
    broken = program(tmp_path, "raise SystemExit('no data')", name="broken.py")
    ended = mbo("judge", "--baseline", training(tmp_path), "--candidate", broken, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "the candidate failed in 3 of 3 runs" in ended.err
