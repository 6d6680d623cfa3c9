"""Proves that a command that misbehaves costs its trial, says why, and never the search."""

from __future__ import annotations

import optuna
import pytest

import mbo_search as mbo
from mbo_search.results.records.run_directory import RunDirectory
from tests.own_trainer.toys import toy

QUIET = mbo.Options(allow_code=True, backend="local")

MODES = {
    "well": ("complete", None, ""),
    "raises": ("failed", "exception", "RuntimeError: out of ideas"),
    "exits": ("failed", "exception", "ended with exit code 7"),
    "killed": ("failed", "exception", "was ended by SIGKILL, as the system does when memory runs out"),
    "silent": ("failed", "exception", "without writing the file that MBO_RESULT names"),
    "garbage": ("failed", "exception", "result.json of the command cannot be read"),
    "incomplete": ("failed", "exception", "result.json of the command is no result: val_loss: Field required"),
    "word": (
        "failed",
        "exception",
        "result.json of the command is no result: val_loss: Input should be a valid number",
    ),
    "nan": ("pruned", "non_finite", "a validation loss or a metric of the trainer is not finite"),
    "infinite": ("pruned", "non_finite", "not finite"),
    "bad metric": ("pruned", "non_finite", "not finite"),
    "hangs": ("failed", "hung", "the command said nothing for"),
}
"""How a trial in each mode ends: its state, the reason, and some of the message."""


class InTurn(optuna.samplers.RandomSampler):
    """Takes one choice of modes after the other."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        if isinstance(param_distribution, optuna.distributions.CategoricalDistribution):
            choices = param_distribution.choices
            return choices[trial.number % len(choices)] if param_name.endswith("mode") else choices[0]
        return super().sample_independent(study, trial, param_name, param_distribution)


@pytest.mark.slow
def test_each_misbehaviour_ends_its_trial_with_a_reason_and_the_search_goes_on(tmp_path):
    study = toy(*MODES, trials=len(MODES) + 1) | {"resources": {"workers": 1, "hang_minutes": 0.02}}
    mbo.search(study, tmp_path / "run", searcher=InTurn(), options=QUIET)
    records = {r.schedule.stages[1].custom["mode"]: r for r in RunDirectory(tmp_path / "run").records()}
    assert set(records) == set(MODES)
    for mode, (state, reason, message) in MODES.items():
        assert (records[mode].state, records[mode].reason) == (state, reason), mode
        assert message in records[mode].message, mode
    assert len(list((tmp_path / "run" / "scratch").iterdir())) == 0, "nothing is kept of trials that failed"


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["auto", "grid"])
def test_settings_that_always_fail_do_not_use_up_a_search(tmp_path, searcher):
    def train(call: mbo.SpanCall) -> float:
        if call.request.parts[-1].strategy.custom["mode"] != "well":
            raise RuntimeError("no such mode")
        (call.state_out / "state").touch()
        return 1.0

    study = toy("raises", "well", "exits", trials=12)
    del study["runner"]
    study["search"]["searcher"] = searcher
    mbo.search(study, tmp_path / "run", train=train, options=QUIET)
    records = RunDirectory(tmp_path / "run").records()
    assert any(record.state == "complete" for record in records)
    assert len([record for record in records if record.state == "failed"]) < len(records) - 1
