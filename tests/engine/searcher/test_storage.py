"""Proves with a real PostgreSQL that a search keeps its Optuna studies there, and that losing them loses nothing.

The password stands in the environment, and nowhere else.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import optuna
import pytest
from sqlalchemy.pool import NullPool

from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.space.ladder import search_spaces
from mbo_search.testing.studies import tiny_study
from tests.helpers.postgres import PASSWORD, postgres_server, programs

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server():
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL's programs postgres and initdb are not installed")
    folder = Path(tempfile.mkdtemp(prefix="mbo-pg-"))  # pytest's own folders are closed to the server's user
    try:
        with postgres_server(folder, found) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def storage_of(url: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})


def study_names(url: str) -> list[str]:
    return [summary.study_name for summary in optuna.get_all_study_summaries(storage_of(url))]


def told(url: str, suffix: str) -> dict[int, float | None]:
    """Values by trial number, as the server has them."""
    names = [name for name in study_names(url) if suffix in name]
    studies = [optuna.load_study(study_name=name, storage=storage_of(url)) for name in names]
    return {trial.user_attrs["trial"]: trial.value for study in studies for trial in study.trials}


def losses(run: RunDirectory):
    return [(record.trial, record.arm, record.params, record.val_loss) for record in run.records()]


def test_a_search_on_a_server_equals_one_on_sqlite_and_survives_the_loss_of_its_database(
    tiny_root, tmp_path, server
):
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    plain = run_study(tiny_study(tiny_root), tmp_path / "plain", options)
    study = tiny_study(tiny_root, f"search.storage={server.url}")
    run = run_study(study, tmp_path / "run", options).run
    assert losses(run) == losses(plain.run)
    assert not run.database.exists()
    values = {record.trial: record.val_loss for record in run.records() if record.arm != "baseline"}
    assert told(server.url, "/") == values

    for name in study_names(server.url):
        optuna.delete_study(study_name=name, storage=storage_of(server.url))
    again = resume_study(run.path, options, ["search.trials=7"])
    assert (again.num_complete, again.is_interrupted) == (7, False)
    values = {record.trial: record.val_loss for record in run.records() if record.arm != "baseline"}
    assert told(server.url, "/") == values
    text = b"".join(path.read_bytes() for path in run.path.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in text


def test_two_run_directories_of_one_study_do_not_meet_on_a_server(tiny_root, tmp_path, server):
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    study = tiny_study(tiny_root, f"search.storage={server.url}", "study=twin", "search.trials=3")
    first = run_study(study, tmp_path / "first", options)
    second = run_study(study, tmp_path / "second", options)
    assert losses(first.run) == losses(second.run)
    assert sum(name.startswith("twin-") for name in study_names(server.url)) == 2 * len(search_spaces(study))


def test_a_server_that_was_started_again_costs_nothing(tiny_root, tmp_path, server):
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    seen = []

    def restart_once(progress) -> None:
        if progress.done >= 2 and not seen:
            seen.append(progress.done)
            server.stop()
            server.start()

    study = tiny_study(tiny_root, f"search.storage={server.url}", "study=restart")
    summary = run_study(
        study, tmp_path / "run", RunOptions(cache=options.cache, backend="local", observe=restart_once)
    )
    assert seen
    assert (summary.num_complete, summary.is_interrupted) == (6, False)


@pytest.mark.parametrize(("password", "reason"), [("wrong", "cannot be used"), (None, "cannot be used")])
def test_a_wrong_or_missing_password_is_a_clear_error(tiny_root, tmp_path, server, monkeypatch, password, reason):
    if password is None:
        monkeypatch.delenv("PGPASSWORD")
    else:
        monkeypatch.setenv("PGPASSWORD", password)
    study = tiny_study(tiny_root, f"search.storage={server.url}")
    with pytest.raises(UserError, match=reason) as failure:
        run_study(study, tmp_path / "run", RunOptions(cache=tiny_root / "cache", backend="local"))
    assert "PGPASSWORD" in str(failure.value)
