"""Proves that study files are read as their authors mean them, and that what is written reads back equal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.study_file import dump_study, explain_study, load_study, parse_study
from mbo_search.study.space.defaults import with_defaults
from mbo_search.study.spec.dimensions.table import STAGE_DIMENSIONS
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.values import Range
from tests.study.studies import SMALL, studies

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def stage_of(settings_text):
    """The first stage of the small study with other settings, given as a flow mapping."""
    return parse_study(SMALL, "small.yaml", [f"stages.0={settings_text}"]).stages[0]


@settings(suppress_health_check=SLOW, max_examples=50)
@given(studies())
def test_what_is_written_reads_back_equal(study):
    assert parse_study(dump_study(study), "again.yaml") == study


@settings(suppress_health_check=SLOW, max_examples=10)
@given(studies())
def test_writing_twice_gives_the_same_text(study):
    text = dump_study(study)
    assert dump_study(parse_study(text, "again.yaml")) == text


def test_filling_in_defaults_twice_changes_nothing():
    study = parse_study(SMALL, "small.yaml")
    assert with_defaults(study) == study


@pytest.mark.parametrize("name", example_names())
def test_reading_a_shipped_study_takes_less_than_a_third_of_a_second_of_cpu_time(name):
    load_study(example_path(name))
    started = time.process_time()
    load_study(example_path(name))
    assert time.process_time() - started < 0.3


def test_defaults_are_filled_in_once_and_for_all():
    study = parse_study(SMALL, "small.yaml")
    assert study.search.trials == 32
    assert study.stage_defaults.weight_decay == 0.1
    assert study.stage_defaults.lr == RelativeLr(relative=Range(low=0.125, high=2.0))
    assert [stage.lr_shape[0].kind for stage in study.stages] == ["constant", "linear"]


def test_a_study_with_a_limit_gets_no_other():
    study = parse_study(SMALL + "search: {hours: 2}\n", "small.yaml")
    assert (study.search.trials, study.search.hours) == (None, 2.0)


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("adamw", [("adamw", {})]),
        ("[adamw, muon]", [("adamw", {}), ("muon", {})]),
        (
            "{adamw: {beta2: [0.95, 0.99]}, muon: {}, lion: }",
            [("adamw", {"beta2": (0.95, 0.99)}), ("muon", {}), ("lion", {})],
        ),
        (
            "[adamw, {muon: {momentum: {low: 0.9, high: 0.95}}}]",
            [("adamw", {}), ("muon", {"momentum": Range(low=0.9, high=0.95)})],
        ),
    ],
)
def test_optimizers_have_three_short_forms(text, choices):
    stage = stage_of(f"{{name: warm, share: 0.5, optimizer: {text}}}")
    assert stage.optimizer == tuple(OptimizerChoice(name=n, hparams=h) for n, h in choices)


def test_shapes_have_the_same_forms_as_optimizers():
    stage = stage_of("{name: a, share: 0.5, optimizer: lion, lr_shape: [linear, {wsd: {decay: 0.3, kind: sqrt}}]}")
    assert stage.lr_shape == (
        LrShapeChoice(kind="linear"),
        LrShapeChoice(kind="wsd", hparams={"decay": 0.3, "kind": "sqrt"}),
    )


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("[[]]", [[]]),
        ("{dropout: 0.1, z_loss: 1e-4}", [[("dropout", 0.1), ("z_loss", 1e-4)]]),
        ("[[], [{dropout: 0.1}]]", [[], [("dropout", 0.1)]]),
        ("[[{dropout: 0.1, z_loss: 1e-4}]]", [[("dropout", 0.1), ("z_loss", 1e-4)]]),
        ("[[{dropout: [0.1, 0.2]}]]", [[("dropout", (0.1, 0.2))]]),
    ],
)
def test_regularizers_are_lists_of_sets(text, sets):
    stage = stage_of(f"{{name: a, share: 0.5, optimizer: lion, regularizers: {text}}}")
    assert stage.regularizers == tuple(
        tuple(RegularizerChoice(kind=kind, strength=strength) for kind, strength in one) for one in sets
    )


def test_single_words_count_as_choices_of_one():
    study = parse_study(
        SMALL, "small.yaml", ["stages.1.hand_over=reset", "stages.0.trainable=norms", "baselines=lion_wsd"]
    )
    assert study.stages[1].hand_over == ("reset",)
    assert study.stages[0].trainable == ("norms",)
    assert study.baselines == ("lion_wsd",)
    assert study.data.source == ("docs",)


def test_off_and_auto_and_rest_are_words():
    study = parse_study(SMALL, "small.yaml", ["stages.1.rewarm=auto", "stage_defaults.clip_norm=off"])
    assert (study.stages[1].rewarm, study.stage_defaults.clip_norm) == ("auto", "off")
    assert (study.stages[1].share, study.search.pruner) == ("rest", "off")


def test_counts_may_have_a_suffix():
    study = parse_study(
        SMALL,
        "small.yaml",
        ["budget.tokens=400k", "search.budget=8M", "evaluation.tokens=1.5k", "resources.store.limit=2B"],
    )
    assert (study.budget.tokens, study.search.budget) == (400_000, 8_000_000)
    assert (study.evaluation.tokens, study.resources.store.limit) == (1500, 2_000_000_000)


def test_a_model_size_becomes_numbers_that_can_be_replaced():
    study = parse_study(SMALL, "small.yaml", ["model={size: tiny, heads: 2, context: 64}"])
    assert (study.model.layers, study.model.width, study.model.heads, study.model.context) == (4, 128, 2, 64)


def test_yaml_1_2_reads_yes_and_on_as_words():
    study = parse_study(SMALL, "small.yaml", ["study=yes", "data.text_field=on"])
    assert (study.study, study.data.text_field) == ("yes", "on")


def test_json_is_a_study_file_too():
    text = (
        '{"study": "j", "data": {"source": ["docs"]}, "model": {"size": "tiny"}, "budget": {"tokens": "400k"},'
        ' "train": {"batch_tokens": 1024}, "stages": [{"name": "a", "share": 1, "optimizer": "adamw"}]}'
    )
    assert parse_study(text, "study.json").budget.tokens == 400_000


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text")
    (tmp_path / "tokenizer.json").write_text("{}")
    file = tmp_path / "own.yaml"
    given = "{source: [docs, texts, texts/*.txt, 'qa:chinese'], tokenizer: {kind: file, path: tokenizer.json}}"
    file.write_text(SMALL.replace("{source: docs}", given))
    study = load_study(file)
    folder = tmp_path.resolve()
    assert study.data.source == ("docs", f"{folder}/texts", f"{folder}/texts/*.txt", "qa:chinese")
    assert study.data.tokenizer.path == f"{folder}/tokenizer.json"


def test_weights_follow_the_sources_that_they_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text("text")
    file = tmp_path / "own.yaml"
    file.write_text(SMALL.replace("{source: docs}", "{source: [./a, b/, docs], weights: {./a: 3, b/: 1, docs: 2}}"))
    study = load_study(file)
    assert study.data.weights == dict(zip(study.data.source, (3, 1, 2), strict=True))


def test_relative_paths_on_the_command_line_start_in_the_current_folder(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "texts").mkdir(parents=True)
    (elsewhere / "texts" / "a.txt").write_text("text")
    (elsewhere / "tokenizer.json").write_text("{}")
    monkeypatch.chdir(elsewhere)
    given = [
        "data.source=[docs, texts, ./texts/*.txt, 'qa:chinese']",
        "data.tokenizer={kind: file, path: tokenizer.json}",
    ]
    study = load_study(example_path("quickstart"), given)
    folder = elsewhere.resolve()
    assert study.data.source == ("docs", f"{folder}/texts", f"{folder}/texts/*.txt", "qa:chinese")
    assert study.data.tokenizer.path == f"{folder}/tokenizer.json"
    one = load_study(example_path("quickstart"), ["data.source.1=texts", "data.validation=texts/a.txt"])
    assert one.data.source == ("docs", f"{folder}/texts")
    assert one.data.validation == (f"{folder}/texts/a.txt",)


def test_a_mistyped_corpus_on_the_command_line_is_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"dosc is neither .*\(did you mean docs"):
        load_study(example_path("quickstart"), ["data.source=dosc"])


def test_what_was_loaded_can_be_read_again_from_another_place(tmp_path):
    study = load_study(example_path("own-text"))
    copy = tmp_path / "study.yaml"
    copy.write_text(dump_study(study))
    assert load_study(copy) == study


def test_text_without_a_place_may_name_files_that_are_elsewhere():
    assert parse_study(SMALL, "small.yaml", ["data.source=/not/here"]).data.source == ("/not/here",)


def test_overrides_replace_single_settings():
    study = parse_study(SMALL, "small.yaml", ["stages.1.lr={relative: {low: 0.5, high: 1}}", "seed=7"])
    again = parse_study(
        SMALL, "small.yaml", ["seed=7", "stages.1.lr.relative={low: 0.5, high: 2}", "stages.1.lr.relative.high=1"]
    )
    assert study == again
    assert study.stages[1].lr == RelativeLr(relative=Range(low=0.5, high=1.0))


def test_later_overrides_win():
    assert parse_study(SMALL, "small.yaml", ["seed=1", "seed=2"]).seed == 2


def test_overrides_are_yaml():
    study = parse_study(SMALL, "small.yaml", ["search.trials=12", "confirm=null", "data.text_field='12'"])
    assert (study.search.trials, study.confirm, study.data.text_field) == (12, None, "12")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set: seed must have the form key.path=value"),
        ("=3", "must have the form key.path=value"),
        ("a..b=3", "must have the form key.path=value"),
        ("seed=-1", "--set seed: seed: -1 must be at least 0"),
        ("sed=1", "--set sed: sed: is not a known key (did you mean seed?)"),
        ("stages.9.share=1", "is not a position in the list stages; positions are 0 to 1"),
        ("stages.x.share=1", "is not a position in the list stages"),
        ("budget.tokens.x=1", "because budget.tokens is a single value; set budget.tokens whole"),
        ("data.source=[", "--set data.source: is not valid YAML"),
        ("budget.tokens=&a 12800", "has an anchor"),
        ("stages.0.lr.relative.high=4", "stages.0.lr is a single value; set stages.0.lr whole"),
        ("model.size=huge", "--set model.size: model.size: huge is not a model size; known are tiny, small, base"),
    ],
)
def test_wrong_overrides_are_reported_with_their_own_place(override, message):
    with pytest.raises(StudyError) as caught:
        parse_study(SMALL, "small.yaml", [override])
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].where.startswith("--set")


def origins_of(folder, text, overrides=()):
    (folder / "study.yaml").write_text(text)
    return explain_study(folder / "study.yaml", overrides).origins


def test_origins_tell_file_override_stage_defaults_and_default_apart(tmp_path):
    found = origins_of(
        tmp_path,
        SMALL + "stage_defaults: {clip_norm: 0.5}\n",
        ["stages.1.lr={relative: 1}", "model.layers=3", "seed=1"],
    )
    assert found["seed"] == found["model.layers"] == found["stages.1.lr"] == "--set"
    assert found["stages.0.lr"] == found["model.width"] == found["data.source"] == "file"
    assert found["stages.0.clip_norm"] == "stage_defaults"
    assert found["stages.0.weight_decay"] == found["budget.grid"] == found["search.trials"] == "default"


def test_origins_of_short_forms_are_those_of_what_was_written(tmp_path):
    text = SMALL.replace("{layers: 2, width: 64, heads: 2, context: 64}", "{size: tiny, context: 64}")
    found = origins_of(tmp_path, text + "control: 0.25\n", ["model.heads=2"])
    assert found["model.layers"] == found["model.context"] == found["control.share"] == "file"
    assert found["model.heads"] == "--set"
    assert found["model.mlp_width"] == found["control.question"] == "default"
    assert origins_of(tmp_path, text, ["model.size=small"])["model.width"] == "--set"


def test_origins_cover_every_section_and_every_setting_of_every_stage(tmp_path):
    study = parse_study(SMALL, "small.yaml")
    found = origins_of(tmp_path, SMALL)
    assert {key.split(".")[0] for key in found} == set(type(study).model_fields) - {"at_most", "custom", "runner"}
    further = {"custom", "lr_with_batch", *(dimension.name for dimension in STAGE_DIMENSIONS)}
    told = {key.removeprefix("stages.1.") for key in found if key.startswith("stages.1.")}
    assert told == set(type(study.stages[0]).model_fields) - further


def test_a_study_file_may_begin_with_a_byte_order_mark(tmp_path: Path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_study(file).study == "small"
