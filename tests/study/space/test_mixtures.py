"""Proves that mixtures are asked for where a study sets them, reach schedules, files and words, that opponents have
all of them, and that what cannot be mixed is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.files.files_named import with_base
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.dimensions.mixture import MixtureSpace, share_ends
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import choose, searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.dimensions.mixture import shares
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.stages import StageDefaults
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import schedule, stage, stage_space, study
from tests.study.studies import SMALL

DATA = DataSpec(source={"docs": "docs", "ref": "ref"})
SEARCHED = ["natural", {"docs": 1}, {"docs": [0.2, 0.8], "ref": "rest"}]
SPACE = MixtureSpace()


def mixed(*stages, **sections):
    return study(*stages, **({"data": DATA} | sections))


def names(space):
    return {parameter.name for parameter in searched(space.declared)}


def test_nothing_is_declared_or_written_where_nothing_is_set():
    plain = study(stage_space())
    assert not [one.name for one in staged_space(plain).declared if "mixture" in one.name]
    assert "mixture" not in propose(staged_space(plain), RandomSuggest(0)).model_dump(mode="json")["stages"][0]
    written = plain.model_dump(mode="json")
    assert "mixture" not in written["stages"][0]
    assert "source_names" not in written["data"]


def test_which_sources_then_their_weights_are_chosen():
    space = staged_space(mixed(stage_space("a", 0.5), stage_space("b", mixture=SEARCHED)))
    assert {name for name in names(space) if "mixture" in name} == {
        "stage/1/mixture",
        "stage/1/mixture/docs+ref/docs",
    }
    chosen = {"stage/1/mixture": "docs+ref", "stage/1/mixture/docs+ref/docs": 0.8}
    found = propose(space, FixedSuggest({"stage/0/lr_relative": 1.0, "stage/1/lr_relative": 1.0, **chosen}))
    assert [one.mixture for one in found.stages] == [None, {"docs": 0.8, "ref": 0.2}]
    assert describe_stage(found.stages[1]).endswith("mixture=docs 0.8, ref 0.2")
    assert stage_facts(found.stages[1], {})["mixture"] == "docs 0.8, ref 0.2"


def test_fixed_mixtures_of_the_same_sources_are_one_choice():
    space = staged_space(mixed(stage_space(mixture=[{"docs": 1, "ref": 1}, {"docs": 3, "ref": 1}])))
    (parameter,) = (one for one in searched(space.declared) if "mixture" in one.name)
    assert parameter.choices == ("docs 0.5, ref 0.5", "docs 0.75, ref 0.25")
    found = propose(space, FixedSuggest({"stage/0/lr_relative": 1.0, parameter.name: parameter.choices[1]}))
    assert found.stages[0].mixture == {"docs": 3.0, "ref": 1.0}


WEIGHTS = st.fixed_dictionaries({}, optional={name: st.sampled_from([0.0, 0.2, 0.5]) for name in "xyz"})
SEARCHED_WEIGHTS = st.builds(
    lambda low, name: {"x": (low, 0.5), "y": 0.25, name: "rest"}, st.sampled_from([0.0, 0.25]), st.just("z")
)
MIXTURES = st.just("natural") | WEIGHTS.filter(lambda found: sum(found.values()) > 0) | SEARCHED_WEIGHTS


@settings(max_examples=40)
@given(st.lists(MIXTURES, min_size=1, max_size=2), st.integers(0, 3))
def test_values_are_the_inverse_of_building(choices, seed):
    parameters = SPACE.parameters("stage/0", SPACE.union([tuple(choices)]))
    values = choose(parameters, RandomSuggest(seed))
    own = {name.removeprefix("stage/0/"): value for name, value in values.items()}
    built = SPACE.build(SPACE.union([tuple(choices)]), own)
    again = SPACE.values(stage(mixture=built))
    assert {name: again[name] for name in own} == own


@settings(max_examples=40)
@given(st.lists(st.none() | st.lists(MIXTURES, min_size=1, max_size=1).map(tuple), min_size=1, max_size=3))
def test_the_union_holds_every_mixture_of_every_stage(stages):
    united = SPACE.union(stages)
    for own in stages:
        parameters = SPACE.parameters("a", own or ("natural",))
        for seed in range(3):
            values = {name[2:]: value for name, value in choose(parameters, RandomSuggest(seed)).items()}
            built = SPACE.build(own or ("natural",), values)
            wanted = SPACE.values(stage(mixture=built))
            near = {f"a/{name}": value for name, value in wanted.items()}
            declared = SPACE.parameters("a", united)
            offered = {one.name: one for one in declared if one.name in near}
            assert near["a/mixture"] in offered["a/mixture"].choices
            for name, one in offered.items():
                if isinstance(near[name], float):
                    numbers = [shares(built).get(name.rsplit("/", 1)[1], 0.0), near[name]]
                    ends = (one.low, one.high) if not one.choices else (min(one.choices), max(one.choices))
                    assert any(ends[0] - 1e-9 <= number <= ends[1] + 1e-9 for number in numbers)


def test_opponents_choose_a_mixture_once_for_all_stages():
    asked = mixed(stage_space("a", 0.5, mixture={"docs": 1}), stage_space("b", mixture=SEARCHED))
    assert top_rung(asked) == "settings"
    for found in lower_spaces(asked).values():
        for seed in range(4):
            built = propose(found, RandomSuggest(seed)).stages
            assert len({str(one.mixture) for one in built}) == 1
    single = next(iter(lower_spaces(asked).values()))
    choices = next(one.choices for one in single.declared if one.name == "stage/0/mixture")
    assert set(choices) == {"docs", "natural", "docs+ref"}


def test_other_mixtures_in_stages_are_a_freedom_of_settings():
    first, later = stage("a", 0.5, mixture={"docs": 1.0}), stage("b", 0.5, hand_over="carry")
    assert rung_of(schedule(first, later)) == "settings"
    same = later.model_copy(update={"mixture": {"docs": 2.0}})
    assert rung_of(schedule(first, same)) == "tuned"


def test_an_initial_point_near_a_schedule_has_its_mixture():
    space = staged_space(mixed(stage_space(mixture=SEARCHED)))
    near = points_near(space, schedule(stage(mixture={"docs": 0.8, "ref": 0.2})))
    assert near[0].schedule.stages[0].mixture == {"docs": 0.8, "ref": 0.2}


def test_sources_get_names_that_stay_when_paths_are_written_otherwise():
    plain = study(stage_space(mixture={"docs": 1, "./own": 2}), data=DataSpec(source=("docs", "./own")))
    assert plain.data.source_names == ("docs", "./own")
    moved = with_base(plain, Path("/elsewhere"))
    assert moved.data.source == ("docs", "/elsewhere/own")
    assert parse_study(dump_study(moved), "here") == moved


def test_a_file_gives_names_and_mixtures_in_short_forms():
    text = SMALL.replace("source: docs", "source: [{text: [docs, ref]}, stdlib]")
    text = text.replace("lr: 0.001}", "lr: 0.001, mixture: {text: 0.7, stdlib: rest}}")
    found = parse_study(text, "here")
    assert (found.data.source, found.data.source_names) == (("docs", "ref", "stdlib"), ("text", "text", "stdlib"))
    assert found.stages[0].mixture == ({"text": 0.7, "stdlib": "rest"},)
    assert parse_study(dump_study(found), "here") == found


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"x": 1}, r"x is not a source of the study; known are docs, ref"),
        ({"docs": "rest", "ref": "rest"}, "rest is the weight of two sources"),
        ({"docs": [0.5, 2], "ref": "rest"}, "leaves nothing for rest: the other weights may come to 2"),
        ({"docs": [0, 1]}, "may have no weight above 0"),
        ([{"docs": 1}, {"docs": 2}], "docs 1 appears twice"),
        ([{"docs": [1, 2], "ref": 1}, {"docs": 1, "ref": 1}], "a second mixture of the same sources"),
        (["natural", "natural"], "appears twice"),
        ("hello", "must be"),
        ({"docs": "hello"}, "must be"),
        ({"docs": {"low": 2, "high": 1}}, "must have low below high"),
        ({"docs": [1, 1]}, "has a number twice"),
        ({"docs": -1, "ref": 1}, "must be in"),
    ],
)
def test_what_is_no_mixture_is_refused(mixture, words):
    with pytest.raises(StudyError, match=words):
        mixed(stage_space().model_dump() | {"mixture": mixture})


def test_mixtures_need_running_text_with_a_name_for_each_source():
    task = {"source": "translate"}
    with pytest.raises(StudyError, match="needs running text, not examples of a task"):
        study(stage_space(), data=task, stage_defaults=StageDefaults(mixture={"translate": 1}))
    with pytest.raises(StudyError, match="must name each of the 2 entries"):
        mixed(stage_space(), data={"source": ["docs", "ref"], "source_names": ["a"]})
    with pytest.raises(StudyError, match="must be a word, and neither of natural, rest"):
        mixed(stage_space(), data={"source": {"rest": "docs"}})
    with pytest.raises(StudyError, match="names sources that have names"):
        mixed(stage_space(), data={"source": {"a": "docs"}, "source_names": ["a"]})


def test_the_least_and_the_largest_share_of_a_source():
    choices = ("natural", {"docs": (1.0, 3.0), "ref": 1.0})
    assert share_ends(None, "docs", 0.4) == (0.4, 0.4)
    assert share_ends(choices, "docs", 0.4) == (0.4, 0.75)
    assert share_ends(choices, "ref", 0.6) == (0.25, 0.6)
    assert share_ends(({"docs": 1.0},), "ref", 0.6) == (0.0, 0.0)
