"""Proves that a plan warns of exactly the searches whose opponents end without a last try."""

from __future__ import annotations

import pytest

from mbo_search.study.files.study_file import parse_study
from mbo_search.study.space.effort_warnings import effort_warnings

STUDY = """\
study: short
data: {source: docs}
model: {size: tiny}
budget: {tokens: 400k}
train: {batch_tokens: 1024}
stage_defaults: {optimizer: [adamw, muon], weight_decay: {low: 0.03, high: 1.0}}
stages: [{name: begin, share: 0.5}, {name: end, share: rest, hand_over: carry}]
"""


@pytest.mark.parametrize(
    ("settings", "fewest"),
    [
        (["search.trials=14", "control.question=settings"], 15),
        (["search.trials=15", "control.question=settings"], None),
        (["search.trials=9", "control.question=shape"], None),
        (["search.trials=4", "control.question=shape"], 5),
        (["search.trials=4", "control=0"], None),
        (["search.budget=2M"], None),
    ],
)
def test_fewer_trials_than_five_for_each_opponent_are_warned_of(settings, fewest):
    warnings = effort_warnings(parse_study(STUDY, "short.yaml", settings))
    assert len(warnings) == (fewest is not None)
    assert all(f"from {fewest} trials on" in warning for warning in warnings)
