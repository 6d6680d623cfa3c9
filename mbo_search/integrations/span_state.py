"""States of a call in folders: where it goes on from, what it leaves, and checkpoints on the way."""

from __future__ import annotations

from pathlib import Path

from mbo_search.integrations.stages import StagedModel
from mbo_search.integrations.state_folder import (
    keep_checkpoint,
    new_checkpoint,
    newest_checkpoint,
    read_model,
    read_stages,
    write_model,
    write_stages,
)
from mbo_search.train.foreign.call import SpanCall


def read_start(call: SpanCall, staged: StagedModel) -> None:
    """Give a model the state from which a call goes on: its furthest checkpoint, or the state that it was given.

    Raises:
        StoreError: If the folder holds no state of this model.
    """
    start = newest_checkpoint(call.partial, call.request.key) or call.state_in
    if start is not None:
        read_model(start, staged.weights())
        staged.import_state(*read_stages(start))


def write_state(folder: Path, staged: StagedModel) -> None:
    """Write the state between two steps."""
    write_model(folder, staged.weights())
    write_stages(folder, *staged.export_state())


def write_checkpoint(call: SpanCall, staged: StagedModel) -> None:
    """Keep what has been trained in a call so far, if anything has."""
    if staged.is_begun:
        folder = new_checkpoint(call.partial)
        write_state(folder, staged)
        keep_checkpoint(folder, call.partial, key=call.request.key, step=staged.step)
