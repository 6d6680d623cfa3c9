"""An Optuna study in memory, filled quickly and saved as one SQLite file.

Optuna's storage asks the database about forty times for one trial with its settings and attributes, which takes a
minute for a thousand trials. So trials are added through it without them, and the rows that are left are written as
they are. The tables are Optuna's own and private: what an upgrade may break stands here, and the tests read
everything back through Optuna.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from mbo_search.system.files import fsync_file, fsync_folder, unique_sibling

_PARAMS = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)"
_ATTRIBUTES = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)"
_NOTES = "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (?, ?, ?)"


class StudyTables:
    """Optuna studies in memory."""

    def __init__(self) -> None:
        """Make an empty database."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = RDBStorage("sqlite://", skip_compatibility_check=True)

    def add_study(self, name: str, metric_names: Sequence[str], attributes: Mapping[str, str | int]) -> int:
        """Add a study whose objectives are all minimized; its identifier."""
        directions = [StudyDirection.MINIMIZE] * len(metric_names)
        study = optuna.create_study(storage=self._storage, study_name=name, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(metric_names))
        for key, value in attributes.items():
            study.set_user_attr(key, value)
        return self._storage.get_study_id_from_name(name)

    def add_trial(self, study_id: int, trial: FrozenTrial) -> int:
        """Add a trial, whose number is the next one; its identifier."""
        params, attributes = trial.params, trial.user_attrs
        distributions = trial.distributions
        trial.params, trial.distributions, trial.user_attrs = {}, {}, {}
        trial_id = self._storage.create_new_trial(study_id, template_trial=trial)
        rows = [
            (trial_id, name, distributions[name].to_internal_repr(value), distribution_to_json(distributions[name]))
            for name, value in params.items()
        ]
        self._insert(_PARAMS, rows)
        self._insert(_ATTRIBUTES, [(trial_id, key, json.dumps(value)) for key, value in attributes.items()])
        return trial_id

    def add_system_attributes(self, study_id: int, attributes: Iterable[tuple[str, int | str]]) -> None:
        """Add system attributes of a study, which extensions such as the dashboard keep there."""
        self._insert(_NOTES, [(study_id, key, json.dumps(value)) for key, value in attributes])

    def save(self, target: Path) -> None:
        """Write all studies to a file, which appears whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        temporary = unique_sibling(target)
        try:
            self._copy_to(temporary)
            fsync_file(temporary)
            temporary.replace(target)
        except sqlite3.Error as error:
            raise OSError(None, str(error), str(target)) from error
        finally:
            temporary.unlink(missing_ok=True)
        fsync_folder(target.parent)

    def _copy_to(self, path: Path) -> None:
        with closing(self._storage.engine.raw_connection()) as pooled, closing(sqlite3.connect(path)) as file:
            source = pooled.driver_connection
            assert isinstance(source, sqlite3.Connection), "a storage in memory is SQLite"
            source.backup(file)

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            with self._storage.engine.begin() as connection:
                connection.exec_driver_sql(statement, list(rows))
