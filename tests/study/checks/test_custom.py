"""Proves that settings of the user's own that cannot be meant are refused at once, each with what to do."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.checks.custom import refuse_unread, refuse_unread_schedule
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.files.study_file import explain_study, parse_study
from mbo_search.study.spec.foreign.runner import RunnerSpec
from tests.study.builders import schedule, stage, stage_space, study
from tests.study.studies import SMALL


def problems(text="", overrides=()):
    with pytest.raises(StudyError) as refused:
        parse_study(f"{SMALL}{text}\n", "bad.yaml", overrides)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("custom: {2x: 1}", "custom.2x: '2x' must be a name of at most 64 letters"),
        ("custom: {batch-size: 1}", "custom.batch-size: 'batch-size' must be a name"),
        ("custom: {lr: 1}", "custom.lr: lr is the name of a setting of ours"),
        ("custom: {a: []}", "custom.a: [] must be a list with at least one value"),
        ("custom: {a: null}", "custom.a: null must be a number, a name, true or false, a list of them, or {low"),
        ("custom: {a: {low: 1}}", "custom.a.high: is missing"),
        ("custom: {a: {low: 2, high: 1}}", "custom.a: {low: 2, high: 1, log: false} must have low below high"),
        ("custom: {a: {low: 1, high: 1}}", "must have low below high"),
        ("custom: {a: {low: 1, high: 9, log: true}}", "custom.a.log: true cannot search whole numbers"),
        ("custom: {a: {low: 0.0, high: 1, log: true}}", "custom.a.low: 0 must be greater than 0"),
        ("custom: {a: {low: 0, high: 1, step: 2}}", "custom.a.step: is not a known key"),
        ("custom: {a: [1, true]}", "custom.a: [1, true] must hold values of one kind"),
        ("custom: {a: [x, 1]}", "custom.a: [x, 1] must hold values of one kind"),
        ("custom: {a: [8, 8]}", "custom.a: 8 appears twice among the choices"),
        ("custom: {a: [1, 1.0]}", "custom.a: 1 appears twice among the choices"),
        ('custom: {a: ""}', "custom.a: '' must be a printable text"),
        ("custom: {a: 99999999999999999999}", "must be at most 9007199254740992"),
        ("custom: {a: .inf}", "custom.a: .inf must be true or false, a whole number, a finite number, or text"),
        ("custom: {a: 1, a: 2}", "custom.a: appears twice"),
        ("custom: 3", "custom: 3 must be a mapping"),
        (
            "stage_defaults: {custom: {a: 1}}\ncustom: {a: 2}",
            "stage_defaults.custom.a: a is set for the whole study",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    found = problems(text)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages.0.custom.a=1"], "stages.1.custom.a: is missing in stage cool"),
        (["stages.0.custom.a=1", "stages.1.custom.a=x"], "stages.1.custom.a: x must be of the kind"),
    ],
)
def test_stages_must_agree_on_names_and_kinds(overrides, message):
    (found,) = problems(overrides=overrides)
    assert message in found


def test_all_of_them_are_told_at_once():
    assert len(problems("custom: {2x: 1, lr: 2, a: [], b: {low: 2, high: 1}}")) == 4


def test_settings_are_set_on_the_command_line():
    written = (
        f"{SMALL}custom: {{width: 64}}\nstage_defaults: {{custom: {{batch: {{low: 1, high: 8}}, mix: web}}}}\n"
    )
    sets = [
        "custom.width=[64, 128]",
        "custom.flash=true",
        "stages.1.custom.batch.high=4",
        "stages.0.custom.mix=books",
    ]
    found = parse_study(written, "study.yaml", sets)
    assert found.custom == {"width": (64, 128), "flash": True}
    batch = found.stages[1].custom["batch"]
    assert repr((batch.low, batch.high)) == "(1, 4)"
    assert found.stages[0].custom["mix"] == "books"


def test_a_plan_knows_where_each_value_comes_from(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(f"{SMALL}custom: {{width: 64, depth: 2}}\nstage_defaults: {{custom: {{mix: web}}}}\n")
    origins = explain_study(path, ["custom.depth=3", "stages.1.custom.mix=books"]).origins
    assert (origins["stages.0.custom"], origins["stages.1.custom"]) == ("stage_defaults", "--set")
    assert (origins["custom.width"], origins["custom.depth"]) == ("file", "--set")


def test_settings_that_nobody_reads_are_refused_where_they_stand():
    plain = study(stage_space(custom={"a": 1}), custom={"b": 2, "c": 3})
    refuse_unread(plain, is_given=True)
    refuse_unread(study(), is_given=False)
    refuse_unread(plain.model_copy(update={"runner": RunnerSpec(command="train")}), is_given=False)
    with pytest.raises(StudyError) as refused:
        refuse_unread(plain, is_given=False)
    assert [problem.key for problem in refused.value.problems] == ["custom", "stages.0.custom"]
    assert "custom: b, c would be read by nobody" in str(refused.value.problems[0])


def test_a_schedule_with_them_needs_their_trainer():
    refuse_unread_schedule(schedule(stage()), is_given=False)
    refuse_unread_schedule(schedule(stage(custom={"a": 1})), is_given=True)
    with pytest.raises(StudyError, match=r"schedule\.stages\.0\.custom: a would be read by nobody"):
        refuse_unread_schedule(schedule(stage(custom={"a": 1})), is_given=False)


def test_a_baseline_from_a_file_needs_a_value_for_each(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("stages: [{name: a, share: 1, optimizer: sgd, lr: 0.1, custom: {batch: 8, flash: true}}]\n")
    path.write_text(path.read_text().replace("sgd", "adamw").replace("lr: 0.1", "lr: 0.1, hparams: {HP}"))
    hparams = ", ".join(f"{name}: {value}" for name, value in stage().hparams.items())
    path.write_text(path.read_text().replace("HP", hparams))
    same = study(stage_space(custom={"batch": [8, 16]}), custom={"flash": True})
    assert baseline_schedule(same, str(path)) == load_schedule(path)
    with pytest.raises(StudyError, match=r"batch, flash must have exactly the settings of the study: \(none\)"):
        baseline_schedule(study(), str(path))
    with pytest.raises(StudyError, match="must have exactly the settings of the study: batch, depth, flash"):
        baseline_schedule(study(stage_space(custom={"batch": 8}), custom={"flash": True, "depth": 1}), str(path))
