"""Send a run to a package twice, and read with that package what has arrived: one process, one JSON document."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mbo_search as mbo
from mbo_search.export.loggers.registry import LOGGERS
from mbo_search.testing import check_logger


def read_tensorboard(target: str) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for folder in sorted(Path(target).iterdir()):
        events = EventAccumulator(str(folder))
        events.Reload()
        found[folder.name] = {
            tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
        }
    return found


def read_mlflow(target: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(target)
    experiments = [one.experiment_id for one in client.search_experiments() if one.name != "Default"]
    runs = client.search_runs(experiments)
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {
        run.info.run_name: {
            "id": run.info.run_id,
            "status": run.info.status,
            "parameters": run.data.params,
            "tags": run.data.tags,
            "val_loss": [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, "val_loss")],
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        }
        for run in runs
    }


def read_wandb(target: str) -> dict[str, Any]:
    import wandb

    wandb.teardown()  # its own process may still be writing, which the end of a program waits for
    found: dict[str, Any] = {}
    for file in sorted(Path(target).glob("wandb/offline-run-*/*.wandb")):
        settings: dict[str, Any] = {}
        rows: list[dict[str, Any]] = []
        name = ""
        for record in _wandb_records(file):
            if record.HasField("run"):
                name = record.run.display_name
                settings = {one.key: json.loads(one.value_json) for one in record.run.config.update}
            if record.HasField("history"):
                items = record.history.item
                rows.append({one.key or one.nested_key[0]: json.loads(one.value_json) for one in items})
        assert name == "search" or name not in found
        found[name] = {"settings": settings, "rows": rows}
    return found


def _wandb_records(file: Path) -> Iterator[Any]:
    """The records of a run's file: a log in blocks of 32 KiB, in which a record may be cut into pieces."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(whole)
            whole = b""


def read_trackio(target: str) -> dict[str, Any]:
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    return {
        run.name.rpartition("-")[0]: {
            "settings": run.config,
            "rows": SQLiteStorage.get_logs(target, run.name),
        }
        for run in trackio.Api().runs(target)
    }


def send_twice(logger: str) -> list[int]:
    """Send the run in this folder, and again when its notes hold the key alone; the numbers of trials sent."""
    run = mbo.load_run("run")
    first = run.log(logger)
    if logger.startswith(KNOWING):
        (notes,) = Path("run/loggers").iterdir()
        notes.write_text(json.dumps({**json.loads(notes.read_text()), "sent": []}))
    return [*first.values(), *run.log(logger).values()]


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb, "trackio": read_trackio}
KNOWING = ("tensorboard", "mlflow")
"""Loggers that look up what has been sent where it was sent to."""

if __name__ == "__main__":
    package, logger, target = sys.argv[1:]
    check_logger(LOGGERS[package], f"sqlite:///{package}.db" if package == "mlflow" else "suite")
    print(json.dumps({"sent": send_twice(logger), "found": READERS[package](target)}))
