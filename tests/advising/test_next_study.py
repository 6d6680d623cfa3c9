"""Proves that every searched setting of a study can be changed by its name, in place, with the reason above it."""

from __future__ import annotations

import pytest

from mbo_search.advising.next_study import dump_next, follow
from mbo_search.advising.offers import NewOffer
from mbo_search.advising.places import new_setting
from mbo_search.advising.said import Said
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import load_study, parse_study
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.ladder import asked_space
from mbo_search.study.space.space import parameters
from mbo_search.study.spec.sections.values import Range

WHY = Said(name="no_key")


def searched(study):
    return {one.name: one for one in parameters(asked_space(study))}


def halved(parameter):
    """Offer the lower half of a setting; shares on the grid."""
    if parameter.choices:
        return NewOffer(parameter=parameter, offer=parameter.choices[:1], reasons=(WHY,))
    middle = parameter.low + 2 * parameter.step if parameter.step else (parameter.low + parameter.high) / 2
    return NewOffer(parameter=parameter, offer=Range(low=parameter.low, high=middle), reasons=(WHY,))


@pytest.mark.parametrize("name", ["three-stage-full", "batch-ramp", "microanneal", "moving-settings"])
def test_every_setting_has_a_key(name):
    study = load_study(example_path(name))
    for parameter in searched(study).values():
        stage = stage_with_defaults(study, int(parameter.name.split("/")[1]))
        assert new_setting(stage, parameter.name, halved(parameter).offer), parameter.name


def test_a_setting_changes_alone():
    study = load_study(example_path("quickstart"))
    before = searched(study)
    for parameter in before.values():
        found = follow(study, [halved(parameter)], None)
        assert [change.setting for change in found.changes] == [parameter.name], found.kept
        after = searched(found.study)
        left = after.get(parameter.name)
        assert left is None if parameter.choices else left is not None and left.high < parameter.high
        stage = "/".join(parameter.name.split("/")[:2])
        assert {one for one in before if not one.startswith(stage)} <= {
            *after,
            f"stage/{int(stage[-1]) + 1}/hand_over",
        }


def test_further_settings_of_a_stage_change_as_well():
    cycles = [{"blocks": ["attention", "mlp"], "tokens": [5120, 10240]}, "off"]
    study = load_study(
        example_path("quickstart"), [f"stages.1.cycle={cycles}", "stages.0.batch_tokens=[512, 1024]"]
    )
    known = searched(study)
    shorter = [halved(one) for name, one in known.items() if name.endswith(("/cycle", "/batch_tokens"))]
    assert len(shorter) == 2
    found = follow(study, shorter, None)
    assert len(found.changes) == 2, found.kept
    assert not {one.parameter.name for one in shorter} & searched(found.study).keys()


def test_settings_go_with_what_they_belong_to():
    study = load_study(example_path("three-stage-full"))
    known = searched(study)
    offers = [
        NewOffer(parameter=known["stage/2/lr_shape"], offer=("linear", "cosine"), reasons=(WHY,)),
        halved(known["stage/2/wsd/decay"]),
    ]
    found = follow(study, offers, None)
    assert [change.key for change in found.changes] == ["stages.2.lr_shape"]
    assert found.kept == ()


def test_what_breaks_a_rule_stays_and_is_told():
    study = load_study(example_path("quickstart"))
    share = searched(study)["stage/1/share"]
    found = follow(study, [NewOffer(parameter=share, offer=(0.5, 0.97), reasons=(WHY,))], None)
    assert found.study.stages == study.stages
    (said,) = found.kept
    assert said.text().startswith("stage/1/share stays as it is, because the study would break a rule (")


def test_fewer_trials_need_a_smaller_space():
    study = load_study(example_path("quickstart"))
    assert follow(study, [], WHY).study.search.trials == 40
    changed = follow(study, [halved(searched(study)["stage/1/share"])], WHY)
    assert changed.study.search.trials == 20
    assert changed.changes[-1].key == "search.trials"


def test_the_file_reads_back_equal_with_reasons_above_the_lines():
    study = load_study(example_path("quickstart"))
    offers = [halved(one) for one in searched(study).values()]
    found = follow(study, offers, WHY)
    text = dump_next(found, ["About it."])
    assert parse_study(text, "next.yaml") == found.study
    lines = text.splitlines()
    assert lines[:2] == ["# About it.", "study: quickstart-next"]
    for change in found.changes:
        key = change.key.rpartition(".")[2]
        above = [lines[n - 1].strip() for n, line in enumerate(lines) if line.strip().startswith(f"{key}:")]
        assert any(line.startswith("#") for line in above), key
    assert max(map(len, lines)) <= 120
