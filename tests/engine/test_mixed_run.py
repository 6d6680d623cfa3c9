"""Proves that a study of mixtures runs, shares its trunk, and says how often it reads each source."""

from __future__ import annotations

import pytest

from mbo_search.engine.planned_epochs import source_epochs
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.report.source import read_source
from mbo_search.results.records.run_data import metadata_of
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.space.space import staged_space
from mbo_search.testing.studies import tiny_study

MIXTURES = '[natural, {"few": [0.25, 0.75], "many": "rest"}, {"few": 1}]'


@pytest.fixture(scope="module")
def run(tiny_root, tmp_path_factory):
    """Six schedules, all with one trunk."""
    texts = tiny_study(tiny_root).data.source[0]
    study = tiny_study(
        tiny_root,
        f'data.source={{"few": "{texts}/0*.txt", "many": "{texts}/[1-7]*.txt"}}',
        "stage_defaults.optimizer=adamw",
        "stages.0.lr=0.01",
        "stages.1.lr=0.01",
        "stages.1.rewarm=0",
        f"stages.1.mixture={MIXTURES}",
        "search.searcher=random",
        "search.trials=8",
        "control=0",
    )
    out = tmp_path_factory.mktemp("mixed") / "run"
    run_study(study, out, RunOptions(cache=tiny_root / "cache", backend="local"))
    return RunDirectory.open(out)


def staged(run):
    return [record for record in run.records() if record.arm == "staged"]


def test_mixtures_share_the_trunk(run):
    mixtures = [record.schedule.stages[1].mixture for record in staged(run)]
    assert len({str(mixture) for mixture in mixtures}) == len(mixtures) >= 3
    assert len({record.boundaries[0].node for record in staged(run)}) == 1
    assert len({record.boundaries[1].node for record in staged(run)}) == len(mixtures)
    assert sum(record.boundaries[0].shared for record in staged(run)) == len(mixtures) - 1


def test_records_say_how_often_each_source_was_read_within_what_was_planned(run, tiny_root):
    metadata = metadata_of(run, tiny_root / "cache")
    planned = source_epochs(staged_space(run.study()), metadata)
    tokens = metadata.source_tokens
    for record in staged(run):
        read = {name: epochs * tokens[name] for name, epochs in record.source_epochs.items()}
        assert sum(read.values()) == pytest.approx(2560, rel=0.02)
        for name, epochs in record.source_epochs.items():
            low, high = planned[name]
            assert low - 100 / tokens[name] < epochs < high + 100 / tokens[name]
    found = {str(record.schedule.stages[1].mixture): record.source_epochs["few"] for record in staged(run)}
    assert found["{'few': 1.0}"] > found["{'few': 0.75, 'many': 0.25}"] > found["{'few': 0.25, 'many': 0.75}"]


def test_the_best_schedule_and_the_page_know_its_mixture(run):
    source = read_source(run)
    best = source.finished()[0]
    assert load_schedule(run.path / "best.yaml") == best.schedule
    assert {text.name: text.epochs for text in source.data.named} == best.source_epochs


def test_nothing_is_noted_of_sources_without_names(tiny_root):
    study = tiny_study(tiny_root)
    assert "source_names" not in study.model_dump(mode="json")["data"]
