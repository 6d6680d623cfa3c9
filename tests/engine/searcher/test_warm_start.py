"""Proves that a search begins with what an earlier one knows, and counts and ranks nothing but its own trials."""

from __future__ import annotations

import pytest

from mbo_search.engine.open_run import create_run
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.engine.searcher.warm_start import read_warm_start
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study


@pytest.fixture(scope="module")
def options(tiny_root):
    return {"cache": tiny_root / "cache", "backend": "local"}


@pytest.fixture(scope="module")
def earlier(tiny_root, options):
    out = tiny_root / "earlier"
    run_study(tiny_study(tiny_root, "control=0", "search.trials=4"), out, RunOptions(**options))
    return out


def test_the_best_schedules_come_first_and_cost_nothing(tiny_root, earlier, options, tmp_path):
    before = {path: path.read_bytes() for path in earlier.rglob("*") if path.is_file()}
    study = tiny_study(tiny_root, "control=0", "search.trials=3", "baselines=[]")
    run_study(study, tmp_path / "later", RunOptions(**options, warm_start=[earlier]))
    run, old = RunDirectory.open(tmp_path / "later"), RunDirectory.open(earlier)
    assert read_warm_start(run).sentences[0].endswith("states linked.")
    best = min((record for record in old.records() if record.arm == "staged"), key=lambda record: record.val_loss)
    first = run.records()[0]
    assert (first.params, first.val_loss) == (best.params, best.val_loss)
    assert (first.trial, first.cost.executed_tokens) == (0, 0)
    assert first.requested_tokens > 0
    assert all(boundary.shared for boundary in first.boundaries)
    assert len(run.records()) == 3
    assert {path: path.read_bytes() for path in earlier.rglob("*") if path.is_file()} == before


def test_another_seed_tries_the_schedules_and_trains_them_itself(tiny_root, earlier, options, tmp_path):
    study = tiny_study(tiny_root, "control=0", "search.trials=1", "baselines=[]", "seed=4")
    run_study(study, tmp_path / "later", RunOptions(**options, warm_start=[earlier]))
    run, old = RunDirectory.open(tmp_path / "later"), RunDirectory.open(earlier)
    assert "no state can be used, because its seed is 3" in read_warm_start(run).sentences[0]
    (record,) = run.records()
    assert record.params in [other.params for other in old.records()]
    assert record.val_loss not in [other.val_loss for other in old.records()]
    assert record.cost.executed_tokens == record.requested_tokens > 0


def test_what_is_no_run_directory_is_refused_before_anything_is_written(tiny_root, options, tmp_path):
    with pytest.raises(RunDirectoryError, match="does not exist"):
        run_study(
            tiny_study(tiny_root), tmp_path / "later", RunOptions(**options, warm_start=[tmp_path / "nowhere"])
        )
    assert not (tmp_path / "later").exists()


def test_a_search_that_began_without_is_not_warmed_later(tiny_root, earlier, options, tmp_path):
    study = tiny_study(tiny_root, "control=0", "search.trials=1", "baselines=[]")
    run_study(study, tmp_path / "cold", RunOptions(**options))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunDirectoryError, match="this one began without it"):
        run_study(study, tmp_path / "cold", RunOptions(**options, warm_start=[earlier]))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_command_again_goes_on_and_a_lost_warm_start_is_made_up_for(tiny_root, earlier, options, tmp_path):
    study = tiny_study(tiny_root, "control=0", "search.trials=2", "baselines=[]")
    warm = RunOptions(**options, warm_start=[earlier])
    create_run(study, tmp_path / "later", RunOptions(**options))  # killed before it took anything over
    run_study(study, tmp_path / "later", warm)
    records = RunDirectory.open(tmp_path / "later").records()
    assert records[0].cost.executed_tokens == 0
    run_study(study, tmp_path / "later", warm)
    assert RunDirectory.open(tmp_path / "later").records() == records
