"""Proves that every freedom below a study's question is its opponents', and that no search leaves its rung."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.study_file import dump_study, load_study, parse_study
from mbo_search.study.space.ladder import (
    RUNG_OF_SEARCH,
    asked_space,
    lower_spaces,
    question_of,
    rungs_of,
    search_spaces,
    top_rung,
)
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, space_size, staged_space
from mbo_search.study.spec.rungs import RUNGS, rung_of, rungs_below
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.searching import ControlSpec
from mbo_search.study.spec.sections.values import Range
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import lr_shapes, optimizers, stage_space, study
from tests.study.studies import SMALL, studies

EXAMPLES = {name: load_study(example_path(name)) for name in example_names()}
OF_ONE_OPTIMIZER = {name: EXAMPLES[name] for name in ("batch-ramp", "microanneal")}
OF_OPTIMIZERS = {name: example for name, example in EXAMPLES.items() if name not in OF_ONE_OPTIMIZER}
SMALL_OF_TWO = SMALL.replace("optimizer: adamw,", "optimizer: [adamw, lion],")
WSD = LrShapeChoice(kind="wsd", hparams={"decay": (0.3, 0.5)})


def level(rung):
    return RUNGS.index(rung)


def asking(plain, **control):
    return plain.model_copy(update={"control": ControlSpec(**control)})


def parameter(space, name):
    return next(p for p in searched(space.declared) if p.name == name)


def drawn_rungs(space, num_draws=40):
    return {rung_of(propose(space, RandomSuggest(seed))) for seed in range(num_draws)}


ONE_STAGE = study(stage_space(lr_shape=lr_shapes("linear", "cosine")))
ONE_SHAPED = study(stage_space(lr_shape=(WSD,)))
LENGTHS = study(stage_space("a", (0.5, 0.7)), stage_space("b"))
RESETS = study(stage_space("a", 0.5), stage_space("b", hand_over=("carry", "reset")))
SWITCHES = study(stage_space("a", 0.5, optimizer=optimizers("muon")), stage_space("b"))
OFFERS = study(
    stage_space("a", 0.5, optimizer=optimizers("muon", "adamw"), weight_decay=(0.0, 0.1)),
    stage_space("b", optimizer=optimizers("adamw", "muon"), weight_decay=(0.0, 0.1)),
)


@pytest.mark.parametrize(
    ("plain", "top", "rungs", "searches"),
    [
        (ONE_STAGE, "tuned", ("untuned", "tuned"), []),
        (ONE_SHAPED, "shape", ("untuned", "tuned", "shape"), ["tuned"]),
        (LENGTHS, "shape", ("untuned", "tuned", "shape"), ["tuned"]),
        (RESETS, "settings", RUNGS[:4], ["tuned", "line", "shape"]),
        (SWITCHES, "switch", ("untuned", "tuned", "shape", "switch"), ["tuned", "line", "shape"]),
        (OFFERS, "switch", RUNGS, ["tuned", "line", "shape", "settings"]),
    ],
    ids=["one stage", "one shaped stage", "a length", "a reset", "a switch", "a switch and settings"],
)
def test_the_ladder_goes_up_to_what_the_stages_can_do(plain, top, rungs, searches):
    with_baseline = plain.model_copy(update={"baselines": ("adamw_cosine",)})
    assert top_rung(plain) == question_of(plain) == top
    assert rungs_of(with_baseline) == rungs
    assert list(lower_spaces(plain)) == searches
    assert list(search_spaces(plain)) == ["staged", *searches]
    without = plain.model_copy(update={"baselines": ()})
    assert rungs_of(without) == tuple(rung for rung in rungs if rung != "untuned")


@pytest.mark.parametrize("example", OF_ONE_OPTIMIZER.values(), ids=OF_ONE_OPTIMIZER)
def test_shipped_studies_of_one_optimizer_ask_about_settings(example):
    assert question_of(example) == "settings"
    assert rungs_of(example) == RUNGS[:4]
    assert list(lower_spaces(example)) == ["tuned", "line", "shape"]


@pytest.mark.parametrize("example", OF_OPTIMIZERS.values(), ids=OF_OPTIMIZERS)
def test_shipped_studies_ask_about_changing_the_optimizer_and_everything_below_opposes(example):
    assert question_of(example) == "switch"
    assert rungs_of(example) == RUNGS
    assert list(lower_spaces(example)) == ["tuned", "line", "shape", "settings"]
    assert asked_space(example) == staged_space(example)


def settings_of_the_second_stage():
    dropout = (RegularizerChoice(kind="dropout", strength=0.1),)
    free = (RegularizerChoice(kind="dropout", strength=Range(low=0.1, high=0.2)),)
    searched_beta = (OptimizerChoice(name="adamw", hparams={"beta2": (0.95, 0.99)}),)
    first = stage_space("a", 0.5)
    return {
        "another decay": (first, stage_space("b", weight_decay=0.3)),
        "a searched decay": (
            stage_space("a", 0.5, weight_decay=(0.0, 0.1)),
            stage_space("b", weight_decay=(0.0, 0.1)),
        ),
        "another clipping": (first, stage_space("b", clip_norm="off")),
        "another regularizer": (first, stage_space("b", regularizers=(dropout,))),
        "a regularizer or none": (
            stage_space("a", 0.5, regularizers=((), dropout)),
            stage_space("b", regularizers=((), dropout)),
        ),
        "a free strength": (stage_space("a", 0.5, regularizers=(free,)), stage_space("b", regularizers=(free,))),
        "other blocks": (first, stage_space("b", trainable=("mlp",))),
        "another setting": (
            first,
            stage_space("b", optimizer=(OptimizerChoice(name="adamw", hparams={"beta2": 0.99}),)),
        ),
        "a searched setting": (
            stage_space("a", 0.5, optimizer=searched_beta),
            stage_space("b", optimizer=searched_beta),
        ),
    }


@pytest.mark.parametrize(("stages"), settings_of_the_second_stage().values(), ids=settings_of_the_second_stage())
def test_whatever_may_differ_between_stages_besides_the_rate_makes_settings_the_question(stages):
    plain = study(*stages)
    assert top_rung(plain) == "settings"
    assert "settings" in drawn_rungs(staged_space(plain), 60)
    assert "shape" in lower_spaces(plain)
    assert "settings" not in lower_spaces(plain)


def test_a_study_of_one_stage_asks_at_most_about_its_shape():
    both = stage_space(
        lr_shape=lr_shapes("linear", "cosine"), weight_decay=(0.0, 0.1), optimizer=optimizers("adamw", "lion")
    )
    assert top_rung(study(both)) == "tuned"
    assert drawn_rungs(staged_space(study(both))) == {"tuned"}


@pytest.mark.parametrize("rung", ["tuned", "shape", "settings", "switch"])
def test_a_declared_question_searches_no_further_and_opposes_what_lies_below(rung):
    plain = asking(OFFERS, question=rung)
    assert question_of(plain) == rung
    assert max(drawn_rungs(asked_space(plain)), key=level) == rung
    assert {RUNG_OF_SEARCH[name] for name in lower_spaces(plain)} == set(rungs_below(rung)) - {"untuned"}
    assert rungs_of(plain)[-1] == rung


def test_keeping_the_optimizer_asks_about_changing_it():
    assert question_of(asking(OFFERS, keeps="optimizer")) == "switch"
    assert question_of(asking(RESETS, keeps="strategy")) == "settings"
    assert lower_spaces(asking(OFFERS, keeps="optimizer")) == lower_spaces(OFFERS)


def test_without_a_share_nothing_is_searched_below_the_question():
    plain = asking(OFFERS, share=0.0).model_copy(update={"baselines": ("adamw_cosine",)})
    assert lower_spaces(plain) == {}
    assert rungs_of(plain) == ("untuned", "switch")
    assert rungs_of(plain.model_copy(update={"baselines": ()})) == ("switch",)
    assert list(search_spaces(plain)) == ["staged"]


def test_the_line_may_decay_over_any_tenth_to_either_floor():
    space = lower_spaces(SWITCHES)["line"]
    assert len(space.stages) == 1
    assert parameter(space, "stage/0/lr_shape").choices == ("cosine", "linear", "wsd")
    assert parameter(space, "stage/0/wsd/decay").choices == tuple(tenth / 10 for tenth in range(1, 10))
    assert parameter(space, "stage/0/wsd/kind").choices == ("linear", "sqrt")
    assert all(
        parameter(space, f"stage/0/{kind}/floor").choices == (0.0, 0.05) for kind in ("cosine", "linear", "wsd")
    )


@pytest.mark.parametrize(
    ("grid", "tokens", "decays"),
    [
        (0.5, 12_800, (0.5,)),
        (0.25, 12_800, (0.25, 0.5, 0.75)),
        (1.0, 12_800, (1.0,)),
        (0.1, 3200, (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        (0.1, 640, (1.0,)),
    ],
)
def test_decays_of_the_line_lie_on_the_grid_and_have_the_steps_to_end_annealed(grid, tokens, decays):
    plain = study(stage_space("a", 0.5, lr=1e-3), stage_space("b", lr=2e-3, hand_over=("reset",)))
    coarse = plain.model_copy(update={"budget": plain.budget.model_copy(update={"grid": grid, "tokens": tokens})})
    declared = {one.name: one.choices for one in lower_spaces(coarse)["line"].declared}
    assert declared["stage/0/wsd/decay"] == decays


def test_opponents_of_the_shape_keep_the_study_s_shares_rates_and_lines():
    plain = study(
        stage_space(
            "a", (0.2, 0.4), lr=RelativeLr(relative=Range(low=0.5, high=1.0)), optimizer=optimizers("adamw", "lion")
        ),
        stage_space(
            "b", lr=RelativeLr(relative=(2.0, 4.0)), lr_shape=lr_shapes("linear", "cosine"), hand_over=("reset",)
        ),
    )
    space = lower_spaces(plain)["shape"]
    assert parameter(space, "stage/0/share").choices == (0.2, 0.4)
    assert parameter(space, "stage/1/lr_shape").choices == ("linear", "cosine")
    # The union of both stages' rates is every stage's: one strategy may go up where the study only goes down.
    assert (parameter(space, "stage/1/lr_relative").low, parameter(space, "stage/1/lr_relative").high) == (0.5, 4.0)
    assert drawn_rungs(space) <= {"tuned", "shape"}


def test_opponents_that_keep_one_optimizer_may_keep_any_that_some_stage_offers():
    space = lower_spaces(
        asking(
            study(
                stage_space("a", 0.5, optimizer=optimizers("muon"), lr=1e-3, weight_decay=(0.0, 0.1)),
                stage_space(
                    "b",
                    optimizer=optimizers("adamw", "lion"),
                    lr=Range(low=1e-4, high=1e-3),
                    weight_decay=(0.0, 0.1),
                ),
            )
        )
    )["settings"]
    chosen = {propose(space, RandomSuggest(seed)).optimizers for seed in range(40)}
    assert chosen == {("muon", "muon"), ("adamw", "adamw"), ("lion", "lion")}
    assert drawn_rungs(space) == {"settings", "shape"}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_what_a_search_below_the_question_proposes_is_never_above_its_rung(example, seed):
    for name, space in lower_spaces(example).items():
        assert level(rung_of(propose(space, RandomSuggest(seed)))) <= level(RUNG_OF_SEARCH[name])


@given(studies(), st.integers(0, 2**32))
@settings(suppress_health_check=list(HealthCheck), max_examples=30)
def test_any_study_asks_about_its_top_and_its_searches_keep_to_their_rungs(plain, seed):
    fair = asking(plain, share=0.5)
    try:
        spaces = search_spaces(fair)
    except StudyError:
        return  # the budget is below a step a segment
    assert list(rungs_of(fair)) == sorted(rungs_of(fair), key=level)
    for name, space in spaces.items():
        highest = question_of(fair) if name == "staged" else RUNG_OF_SEARCH[name]
        try:
            schedule = propose(space, RandomSuggest(seed))
        except StudyError:
            continue  # shares may be drawn that do not fit together
        assert level(rung_of(schedule)) <= level(highest)
        assert set(schedule.optimizers) <= OPTIMIZERS.keys()


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_searches_of_higher_rungs_choose_more(example):
    sizes = {name: len(searched(space.declared)) for name, space in search_spaces(example).items()}
    assert sizes["tuned"] < sizes["line"]
    in_order = [sizes[name] for name in ("tuned", "shape", "settings") if name in sizes]
    assert in_order == sorted(in_order) or len(example.stages) == 1
    assert (
        space_size(lower_spaces(example)["tuned"]).combinations
        < space_size(lower_spaces(example)["line"]).combinations
    )


def test_a_number_is_the_share_of_the_opponents():
    written = parse_study(SMALL + "control: 0.4\n", "small.yaml")
    assert (written.control.share, written.control.question, written.control.keeps) == (0.4, "auto", None)


def test_share_and_question_are_read_and_written():
    written = parse_study(SMALL_OF_TWO + "control: {share: 0.4, question: shape}\n", "small.yaml")
    assert (written.control.share, written.control.question) == (0.4, "shape")
    assert parse_study(dump_study(written), "again.yaml") == written
    short = parse_study(SMALL_OF_TWO, "small.yaml", ["control.keeps=optimizer"])
    assert (short.control.share, short.control.keeps, question_of(short)) == (0.5, "optimizer", "switch")
    assert parse_study(dump_study(short), "again.yaml") == short


ONE = SMALL.replace("  - {name: warm, share: 0.5, optimizer: adamw, lr: 0.001}\n", "").replace(
    "[adamw, muon]", "adamw"
)


@pytest.mark.parametrize(
    ("text", "control", "said"),
    [
        (ONE, "{keeps: optimizer}", "control.keeps: optimizer asks about more than the stages can do.*is tuned"),
        (ONE, "{question: settings}", "control.question: settings asks about more.*is tuned"),
        (SMALL.replace("[adamw, muon]", "adamw"), "{keeps: optimizer}", "the highest rung of this space is shape"),
        (SMALL, "{keeps: optimizer, question: shape}", "stands beside control.question"),
        (SMALL, "{question: untuned}", "control.question"),
    ],
)
def test_a_question_that_the_stages_cannot_answer_is_refused(text, control, said):
    with pytest.raises(StudyError, match=said):
        parse_study(text + f"control: {control}\n", "small.yaml")
