"""Proves that what the ranking writes in English is told in the page's language, with the same values in it."""

from __future__ import annotations

import string

import pytest

from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import load_strings
from mbo_search.report.style.phrases import translated
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study

EN, ZH = load_strings("en"), load_strings("zh")


@pytest.mark.parametrize("key", EN["phrases"])
def test_every_phrase_is_known_and_keeps_its_values(key):
    blanks = dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(EN["phrases"][key]) if name)
    values = {name: str(number) for number, name in enumerate(blanks, start=17)}
    sentence = EN["phrases"][key].format(**values)
    assert translated(sentence, EN) == sentence
    assert translated(sentence, ZH) == ZH["phrases"][key].format(**values)


def test_a_name_within_an_advice_is_translated_too():
    take = "stop, and take the simplest recipe that none beats beyond doubt, #4 (shape)"
    said = translated(f"{take}: mbo-search export a --trial 4 --out simplest.yaml", ZH)
    assert "\uff08\u66f2\u7ebf\uff09" in said
    assert said.endswith("mbo-search export a --trial 4 --out simplest.yaml")


def test_what_no_phrase_knows_stays_as_it_is():
    assert translated("Something else.", ZH) == "Something else."


def untranslated(run: RunDirectory) -> list[str]:
    ranking = make_ranking(run)
    picked = [what for row in ranking.ladder for what in row.hand_picked]
    said = [*ranking.verdict.objections, ranking.verdict.next, *ranking.notes, *picked]
    return [sentence for sentence in said if sentence and translated(sentence, ZH) == sentence]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_trials", "confirm_seeds"), [(6, 0), (12, 3), (40, 6), (40, 12)])
def test_no_sentence_of_a_random_study_stays_english(tmp_path, num_trials, confirm_seeds, seed):
    run = build_run(tmp_path / "run", num_trials=num_trials, confirm_seeds=confirm_seeds, seed=seed)
    assert untranslated(run) == []


def test_no_sentence_of_a_study_without_results_stays_english(tmp_path):
    study = make_study(2).model_copy(update={"confirm": ConfirmSpec(top=3)})
    run = RunDirectory.create(tmp_path / "run", study, make_setup(study))
    assert untranslated(run) == []
    for record, curve in build_records(study, num_trials=4):
        run.write_record(record, curve)
    assert untranslated(run) == []
    assert read_source(run).ranking.notes
