"""A trained model from a state's folder, with the weights that are handed out."""

from __future__ import annotations

from pathlib import Path

from mbo_search.model.decoder import Decoder, set_dropout
from mbo_search.train.saved_state import load_state
from mbo_search.train.setup.setup import TrainSetup


def load_model(state_dir: Path, setup: TrainSetup) -> Decoder:
    """Load a model for evaluation, sampling or export.

    Raises:
        StoreError: If the folder holds no state of this model.
    """
    live = load_state(state_dir, setup, budget_steps=setup.budget().total_steps)
    assert live.optimizer is not None
    live.optimizer.eval_mode()
    set_dropout(live.model, 0.0)
    return live.model.eval().requires_grad_(False)
