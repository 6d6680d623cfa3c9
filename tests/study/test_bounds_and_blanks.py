"""Proves that every number has an upper end, and that nothing written is never taken for no request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_path
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.study_file import load_study, parse_study
from mbo_search.study.spec.sections.stages import StageDefaults
from tests.study.files.test_inherited import BARE

QUICKSTART = example_path("quickstart")
HUGE = "9" * 41
WORDS = frozenset(
    {
        *(
            "study",
            "data.dedup",
            "data.text_field",
            "data.tokenizer.kind",
            "data.validation",
            "data.tokenizer.path",
        ),
        *("control.question", "control.keeps", "search.searcher", "search.pruner", "search.stop", "search.storage"),
        *("train.precision", "train.device", "baselines", "stages", "resources.store.url", "search.objectives"),
        *("data.source", "reference_lr", "model.tie_embeddings"),
    }
)
"""Settings that are no numbers."""


def settings(value: object, at: str = "") -> Iterator[str]:
    """Key paths of all settings outside the stages."""
    for key, held in value.items() if isinstance(value, dict) else ():
        path = f"{at}.{key}" if at else key
        if isinstance(held, dict) and held:
            yield from settings(held, path)
        else:
            yield path


def numbers() -> list[str]:
    study = load_study(QUICKSTART, ["confirm={}"])
    known = [path for path in settings(study_mapping(study)) if path not in WORDS]
    assert len(known) > 25
    return [path for path in known if not path.startswith(("stage_defaults", "confirm.equivalent", "confirm.attr"))]


@pytest.mark.parametrize("key", numbers())
def test_every_number_has_an_upper_end(key: str):
    with pytest.raises(StudyError, match=key):
        load_study(QUICKSTART, ["confirm={}", f"{key}={HUGE}"])


@pytest.mark.parametrize("key", ["lr", "lr.relative", "warmup", "weight_decay", "clip_norm", "rewarm"])
def test_every_number_of_a_strategy_has_an_upper_end(key: str):
    with pytest.raises(StudyError, match="stage_defaults"):
        load_study(QUICKSTART, [f"stage_defaults.{key}={HUGE}"])


def test_the_largest_budget_can_still_be_recorded():
    assert load_study(QUICKSTART, ["budget.tokens=1000B"]).budget.tokens == 10**12
    with pytest.raises(StudyError, match=r"must be at most 1000000000000$"):
        load_study(QUICKSTART, ["budget.tokens=1001B"])


@pytest.mark.parametrize(
    "key", [*numbers(), *sorted(WORDS - {"stages"}), *map("stages.1.{}".format, StageDefaults.model_fields)]
)
@pytest.mark.parametrize("text", ["", "  ", "# nothing"])
def test_a_setting_without_a_value_is_named(key: str, text: str):
    with pytest.raises(StudyError) as caught:
        load_study(QUICKSTART, [f"{key}={text}"])
    assert f"--set {key}: {key}: has no value" in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_key_with_nothing_behind_it_is_named_in_a_file_too():
    text = BARE.replace("control: 0.25", "search: {trials: }\nconfirm:\n")
    with pytest.raises(StudyError) as caught:
        parse_study(text, "bare.yaml")
    assert [(problem.key, problem.rule) for problem in caught.value.problems] == [
        ("search.trials", "has no value"),
        ("confirm", "has no value"),
    ]
    assert (
        parse_study(text.replace("trials: ", "trials: null").replace("confirm:", "confirm: null"), "x").confirm
        is None
    )


def test_names_without_settings_stand_for_their_defaults():
    text = BARE.replace("optimizer: adamw}]", "optimizer: {adamw: , muon: {momentum: 0.9}}}]")
    assert [choice.name for choice in parse_study(text, "bare.yaml").stages[1].optimizer] == ["adamw", "muon"]


@pytest.mark.parametrize("key", ["data.source", "data.validation", "data.text_field"])
@pytest.mark.parametrize("word", ["''", "' '"])
def test_an_empty_name_is_not_the_current_folder(key: str, word: str):
    with pytest.raises(StudyError, match=f"{key}.*is empty"):
        load_study(QUICKSTART, [f"{key}={word}"])


def test_an_empty_path_of_a_tokenizer_is_an_error():
    with pytest.raises(StudyError, match=r"data.tokenizer.path.*is empty"):
        load_study(QUICKSTART, ["data.tokenizer={kind: file, path: ''}"])
