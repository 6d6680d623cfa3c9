"""Proves that a control arm which keeps its optimizer may change everything else, in the study's own ranges."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.parameters import searched
from mbo_search.study.space import control_space, propose, space_size, staged_space
from mbo_search.study.specs import Range, RelativeLr
from mbo_search.study.yaml_file import dump_study, parse_study
from tests.study.builders import optimizers, stage_space, study
from tests.study.studies import SMALL
from tests.study.suggest import FixedSuggest, RandomSuggest

KEEPS_OPTIMIZER = {"share": 0.5, "keeps": "optimizer"}


def kept(*stages):
    plain = study(*stages)
    return plain.model_validate(plain.model_dump() | {"control": KEEPS_OPTIMIZER})


def three_stages():
    return kept(
        stage_space(
            "a", (0.2, 0.4), optimizer=optimizers("adamw", "lion", "muon", "soap"), weight_decay=(0.0, 0.1)
        ),
        stage_space("b", 0.3, optimizer=optimizers("muon", "adamw", "adam"), hand_over=("carry", "reset")),
        stage_space(
            "c",
            optimizer=optimizers("sgd_nesterov", "adamw", "muon"),
            lr=RelativeLr(relative=Range(low=0.5, high=2.0)),
            hand_over=("carry", "reset"),
        ),
    )


def test_every_schedule_keeps_one_optimizer_that_all_stages_offer():
    space = control_space(three_stages())
    chosen = [propose(space, RandomSuggest(seed)).optimizers for seed in range(40)]
    assert all(len(set(names)) == 1 for names in chosen)
    assert {names[0] for names in chosen} == {"adamw", "muon"}


def test_the_optimizer_is_chosen_once_and_everything_else_stage_by_stage():
    plain = three_stages()
    space = control_space(plain)
    names = [parameter.name for parameter in searched(space.declared)]
    assert [name for name in names if name.endswith("/optimizer")] == ["stage/0/optimizer"]
    staged = [parameter.name for parameter in searched(staged_space(plain).declared)]
    assert [name for name in staged if name not in names] == ["stage/1/optimizer", "stage/2/optimizer"]
    assert set(names) <= set(staged)


def test_a_schedule_of_the_control_arm_is_one_that_the_staged_arm_may_propose():
    space, staged = control_space(three_stages()), staged_space(three_stages())
    for seed in range(20):
        source = RandomSuggest(seed)
        schedule = propose(space, source)
        same = {f"stage/{index}/optimizer": source.asked["stage/0/optimizer"] for index in range(3)}
        assert propose(staged, FixedSuggest(source.asked | same)) == schedule


def test_carry_or_reset_is_chosen_for_the_optimizer_that_goes_on():
    space = control_space(three_stages())
    chosen = {propose(space, RandomSuggest(seed)).stages[1].hand_over for seed in range(20)}
    assert chosen == {"carry", "reset"}


def test_points_of_the_space_are_counted_without_the_combinations_of_optimizers():
    plain = kept(
        stage_space("a", 0.5, optimizer=optimizers("adamw", "muon"), lr=1e-3, weight_decay=0.1),
        stage_space("b", optimizer=optimizers("adamw", "muon"), lr=1e-3, weight_decay=0.1),
    )
    assert space_size(control_space(plain)).combinations == 2
    assert space_size(staged_space(plain)).combinations == 4


def test_a_number_is_the_share_of_an_arm_that_keeps_its_strategy():
    written = parse_study(SMALL + "control: 0.4\n", "small.yaml")
    assert (written.control.share, written.control.keeps) == (0.4, "strategy")
    assert len(control_space(written).stages) == 1


def test_share_and_what_is_kept_are_read_and_written():
    text = SMALL.replace("optimizer: adamw,", "optimizer: [adamw, lion],")
    written = parse_study(text + "control: {share: 0.5, keeps: optimizer}\n", "small.yaml")
    assert (written.control.share, written.control.keeps) == (0.5, "optimizer")
    assert parse_study(dump_study(written), "again.yaml") == written
    assert parse_study(text, "small.yaml", ["control.keeps=optimizer"]).control.share == 0.33


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("optimizer: adamw,", "optimizer: lion,"), "needs an optimizer that every stage offers"),
        (SMALL.replace("  - {name: warm, share: 0.5, optimizer: adamw, lr: 0.001}\n", ""), "needs two stages"),
    ],
)
def test_an_optimizer_that_cannot_be_kept_is_refused(text, said):
    with pytest.raises(StudyError, match=said):
        parse_study(text + "control: {keeps: optimizer}\n", "small.yaml")
