"""Storage of a search's Optuna study: a SQLite file of the run directory, or a PostgreSQL server.

Either can be lost: its content is rebuilt from the tasks and records of the run directory. On a server several run
directories share one database, so each has a name of its own there, kept in the run directory. The server's
password is read by its client, from PGPASSWORD or a password file, and is never seen here.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mbo_search.engine.searcher.optuna_searcher import open_study
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.records import Arm
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.study import Study
from mbo_search.system.files import read_json, write_json

_CONNECT_SECONDS = 30


def open_optuna_study(run: RunDirectory, arm: Arm, study: Study) -> optuna.Study:
    """Open or create the Optuna study of a search.

    Raises:
        UserError: If the database server cannot be used.
    """
    num_objectives = len(study.search.objectives)
    if study.search.storage is None:
        return open_study(_database(run, arm), study.study, num_objectives)
    return _open_on_server(study.search.storage, f"{server_name(run, study)}/{arm}", num_objectives)


def _database(run: RunDirectory, arm: Arm) -> Path:
    if arm == "staged":
        return run.database
    database = run.rung_database(arm)
    database.parent.mkdir(exist_ok=True)
    return database


def server_name(run: RunDirectory, study: Study) -> str:
    """Name of a run directory on a database server: the study's name and a number drawn once."""
    file = run.path / "storage.json"
    try:
        return str(read_json(file)["name"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        name = f"{study.study}-{secrets.token_hex(6)}"
        write_json(file, {"name": name})
        return name


def _open_on_server(url: str, name: str, num_objectives: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = {
        "poolclass": NullPool,  # no connection is kept, so a restart of the server costs nothing
        "connect_args": {"connect_timeout": _CONNECT_SECONDS, "application_name": "mbo-search"},
    }
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=settings, skip_compatibility_check=False)
        sampler = optuna.samplers.RandomSampler(seed=0)  # never asked: proposals come from the mirror
        return optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            sampler=sampler,
            directions=["minimize"] * num_objectives,
        )
    except ImportError as error:
        raise _refusal(url, "needs psycopg", "install it with `pip install 'mbo-search[storage]'`") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        hint = "the password is read from PGPASSWORD or ~/.pgpass"
        raise _refusal(url, f"cannot be used: {reason}", hint) from error


def _refusal(url: str, rule: str, hint: str) -> UserError:
    return UserError([Problem(key="search.storage", value=url, rule=rule, hint=hint)])
