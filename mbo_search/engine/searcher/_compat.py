"""Everything private of Optuna that we use: what an upgrade may break stands here, and nowhere else.

Every function has a test in `tests/engine/searcher/test_compat.py` that names what is gone after an upgrade.
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial


def trial_id(trial: FrozenTrial) -> int:
    """Identifier of a trial in its storage, which differs from its number."""
    return trial._trial_id


def add_trial(study: optuna.Study, trial: FrozenTrial) -> int:
    """Add a trial in one transaction; its identifier.

    `Study.add_trial` keeps the identifier to itself, and reading it back takes longer than writing.
    """
    return study._storage.create_new_trial(study._study_id, template_trial=trial)


def set_user_attr(study: optuna.Study, trial: FrozenTrial, name: str, value: float) -> None:
    """Set a user attribute of a trial that a sampler was given, in the storage and in the sampler's own copy."""
    study._storage.set_trial_user_attr(trial._trial_id, name, value)
    trial.set_user_attr(name, value)
