"""Proves that blocks in turn are asked for where a study sets them, build what was chosen, are open to opponents,
are told, and are refused where a block is unknown, untrained or without a turn."""

from __future__ import annotations

import pytest

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.export.dashboard.settings import settings_of
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.dimensions.cycle import CycleSpace
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import schedule, stage, stage_space, study
from tests.study.studies import SMALL

TURNS = {"blocks": ("attention", "mlp"), "tokens": ("1k", 2000)}
THAW = {"blocks": ["norms", "embeddings", "attention+mlp"], "tokens": 640, "mode": "thaw"}
OFFERED = ["off", TURNS, THAW]


def names(space):
    return {parameter.name for parameter in searched(space.declared)}


def test_nothing_is_declared_or_written_where_nothing_is_set():
    plain = study(stage_space())
    assert not {parameter.name for parameter in staged_space(plain).declared if "cycle" in parameter.name}
    assert "cycle" not in plain.model_dump(mode="json")["stages"][0]


def test_one_of_the_choices_is_built_and_its_values_are_found_again():
    space = staged_space(study(stage_space(cycle=OFFERED)))
    assert names(space) >= {"stage/0/cycle", "stage/0/cycle/turns(attention,mlp)/tokens"}
    assert "stage/0/cycle/thaw(norms,embeddings,attention+mlp)/tokens" not in names(space)
    seen = set()
    for seed in range(20):
        suggest = RandomSuggest(seed)
        found = propose(space, suggest).stages[0]
        seen.add(None if found.cycle is None else (found.cycle.mode, found.cycle.tokens))
        values = {f"stage/0/{name}": value for name, value in CycleSpace().values(found).items()}
        assert {name: value for name, value in suggest.asked.items() if "/cycle" in name}.items() <= values.items()
    assert seen == {None, ("turns", 1000), ("turns", 2000), ("thaw", 640)}


def test_opponents_may_use_what_any_stage_may():
    plain = study(stage_space("a", 0.5, cycle=TURNS), stage_space("b", cycle=[{**TURNS, "tokens": 3000}, THAW]))
    assert top_rung(plain) == "settings"
    choices = {parameter.name: parameter.choices for parameter in searched(lower_spaces(plain)["tuned"].declared)}
    assert set(choices["stage/0/cycle"]) == {"turns(attention,mlp)", "thaw(norms,embeddings,attention+mlp)"}
    assert choices["stage/0/cycle/turns(attention,mlp)/tokens"] == (1000.0, 2000.0, 3000.0)
    one_sets_nothing = study(stage_space("a", 0.5, cycle=TURNS), stage_space("b"))
    choices = {parameter.name: parameter.choices for parameter in lower_spaces(one_sets_nothing)["tuned"].declared}
    assert set(choices["stage/0/cycle"]) == {"off", "turns(attention,mlp)"}


def test_a_stage_can_put_off_what_the_defaults_set():
    plain = study(stage_space("a", 0.5), stage_space("b", cycle="off"), stage_defaults={"cycle": TURNS})
    first, second = propose(staged_space(plain), RandomSuggest(0)).stages
    assert (first.cycle is None, second.cycle) == (False, None)


def test_blocks_and_their_learning_rates_are_searched_together():
    plain = study(
        stage_space("a", 0.5, trainable=["all", "attention+mlp"], groups={"mlp": {"lr_ratio": [0.5, 1.0]}}),
        stage_space("b", trainable=["all", "mlp"], groups={"mlp": {"lr_ratio": [1.0, 2.0]}}, cycle=["off"]),
    )
    space = staged_space(plain)
    assert {f"stage/{index}/{name}" for index in (0, 1) for name in ("trainable", "groups/mlp/lr_ratio")} <= names(
        space
    )
    found = [propose(space, RandomSuggest(seed)) for seed in range(40)]
    assert len({tuple((one.trainable, one.lr_ratios["mlp"]) for one in each.stages) for each in found}) == 16
    assert set(lower_spaces(plain)) == {"tuned", "line", "shape"}


def test_a_search_begins_near_a_schedule_with_them():
    space = staged_space(study(stage_space(cycle=OFFERED)))
    known = schedule(stage(cycle=BlockCycle(blocks=("attention", "mlp"), tokens=2000)))
    near, *_ = points_near(space, known)
    assert near.params["stage/0/cycle"] == "turns(attention,mlp)"
    assert near.params["stage/0/cycle/turns(attention,mlp)/tokens"] == 2000
    near, *_ = points_near(space, schedule(stage()))
    assert near.params["stage/0/cycle"] == "off"


def test_a_file_reads_back_as_it_was_written():
    text = SMALL.replace("lr: 0.001}", "lr: 0.001, cycle: [off, {blocks: [mlp, norms], tokens: 1k}]}")
    read = parse_study(text, "small.yaml")
    assert read.stages[0].cycle[1].tokens == (1000,)
    assert parse_study(dump_study(read), "again.yaml") == read


def test_they_are_told_where_a_stage_is_described():
    cycle = BlockCycle(blocks=("attention", "mlp"), tokens=20_000)
    assert "cycle=attention > mlp every 20k tokens" in describe_stage(stage(cycle=cycle))
    assert settings_of(schedule(stage(cycle=cycle)))["a/cycle"] == "attention > mlp every 20k tokens"
    thaw = cycle.model_copy(update={"mode": "thaw"})
    assert "cycle=thaw attention > mlp every 20k tokens" in describe_stage(stage(cycle=thaw))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("cycle: mlp", "cycle: mlp must be {blocks: ..., tokens: ...} or off"),
        ("cycle: {blocks: [mlp, attention]}", "cycle.tokens: is missing"),
        ("cycle: {blocks: [mlp, attention], token: 1k}", "cycle.token: is not a known key (did you mean tokens?)"),
        ("cycle: {blocks: [mlp], tokens: 1k}", "cycle.blocks: [mlp] must name at least two"),
        ("cycle: {blocks: [mlp, attn], tokens: 1k}", "cycle.blocks.1: attn must be "),
        ("cycle: {blocks: [mlp, all], tokens: 1k}", "cycle.blocks.1: all is no block"),
        ("cycle: {blocks: [mlp+norms, norms+mlp], tokens: 1k}", "cycle.blocks.1: norms+mlp has a turn already"),
        ("cycle: {blocks: [mlp, layers:0-9], tokens: 1k}", "cycle.blocks.1: layers:0-9 must name layers from 0"),
        (
            "cycle: {blocks: [mlp, norms], tokens: 1k}, trainable: mlp",
            "cycle.blocks.1: norms holds nothing that stage",
        ),
        (
            "cycle: {blocks: [mlp, norms], tokens: 3}",
            "cycle.tokens: 3 must be at least a step, which may be 64 tokens",
        ),
        ("cycle: {blocks: [mlp, norms], tokens: 1M}", "cycle.tokens: 1000000 leaves the last block without a turn"),
        (
            "cycle: {blocks: [mlp, norms], tokens: 1k, mode: melt}",
            "cycle.mode: melt must be one of turns, thaw, freeze",
        ),
        ("cycle: [off, off]", "cycle.1: off appears twice among the choices"),
    ],
)
def test_what_means_nothing_is_refused_by_name(settings, message):
    with pytest.raises(StudyError) as refused:
        parse_study(SMALL.replace("lr: 0.001}", f"lr: 0.001, {settings}}}"), "bad.yaml")
    assert any(message in str(problem) for problem in refused.value.problems), refused.value.problems
