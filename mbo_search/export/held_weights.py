"""The weights that a trial ended with, wherever the study keeps its states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mbo_search.errors import Problem, RunDirectoryError, StoreError, command_line
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.open_store import open_node_store


@contextmanager
def held_weights(run: RunDirectory, trial: int) -> Iterator[Path]:
    """Keep the state that a trial ended with from being removed, within the block.

    Raises:
        RunDirectoryError: If the trial is not complete, or its state is no longer kept or cannot be read.
    """
    record = next((record for record in run.records() if record.trial == trial), None)
    if record is None or record.state != "complete" or not record.boundaries:
        problem = Problem(
            key="", where=str(run.path), rule=f"holds no complete schedule #{trial}", hint="give a complete one"
        )
        raise RunDirectoryError([problem])
    store = open_node_store(
        run.stages,
        url=run.study().resources.store.url,
        limit_bytes=None,
        windows_fingerprint=run.setup().windows_fingerprint,
    )
    try:
        yield store.load(record.boundaries[-1].node).node.path
    except StoreError as error:
        raise RunDirectoryError([_evicted(run, trial)]) from error
    finally:
        store.release()


def _evicted(run: RunDirectory, trial: int) -> Problem:
    file = Path(f"trial-{trial}.yaml")
    export = command_line("export", run.path, "--trial", str(trial), "-o", file)
    hint = f"train it again: `{export}`, then `{command_line('train', file, '--out', 'DIR')}`"
    return Problem(key="", where=str(run.path), rule=f"no longer keeps the weights of #{trial}", hint=hint)
