"""A run directory as values: all that its documented files hold, in the order of trials and names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from ruamel.yaml import YAML

from tests.replay.canon import VARYING, Canon, exact_floats
from tests.replay.page import digest_parts, read_page

_FILES_OF_A_TRIAL = re.compile(r"\d{4}\.")


def read_directory(folder: Path, canon: Canon) -> dict[str, Any]:
    """Everything in a run directory that a later version must write again."""
    return {
        "files": _file_names(folder),
        "study": canon.lines((folder / "study.yaml").read_text()),
        "setup": canon.value(_json(folder / "setup.json")),
        "status": canon.value(_json(folder / "status.json")),
        "trials": _trials(folder, canon),
        "optuna": {file.stem: _optuna(file) for file in [folder / "study.db", *sorted(folder.glob("rungs/*.db"))]},
        "nodes": _nodes(folder),
        "ranking": canon.value(_json(folder / "ranking.json")),
        "csv": (folder / "ranking.csv").read_text().splitlines()[0],
        "best": canon.value(YAML(typ="safe").load(folder / "best.yaml")),
        "log": canon.lines((folder / "driver.log").read_text()),
        "report": _report(folder, canon) if (folder / "report.html").exists() else None,
        "repeats": {each.name: read_directory(each, canon) for each in sorted(folder.glob("repeats/*"))},
    }


def _report(folder: Path, canon: Canon) -> dict[str, Any]:
    return {
        "page": page_values(folder / "report.html", canon),
        "samples": canon.value(_json(folder / "samples.json")),
        "tables": {name: _table(folder / f"{name}.parquet") for name in ("trials", "curves")},
    }


def page_values(file: Path, canon: Canon) -> dict[str, Any]:
    """A page: its text, and a digest of each part of its figures and tables."""
    lines, data = read_page(file.read_text(encoding="utf-8"))
    return {"text": [canon.text(line) for line in lines], "data": digest_parts(canon.value(data))}


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _file_names(folder: Path) -> list[str]:
    """Names of the files beside the cached states, which `nodes` lists; of a trial's files only their kinds."""
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return sorted({_FILES_OF_A_TRIAL.sub("NNNN.", name) for name in names if not name.startswith("stages/")})


def _trials(folder: Path, canon: Canon) -> list[dict[str, Any]]:
    return [_trial(file, canon) for file in sorted((folder / "trials").glob("[0-9]*[0-9].json"))]


def _trial(file: Path, canon: Canon) -> dict[str, Any]:
    found = {"record": exact_floats(canon.value(_json(file)))}
    task, curve, log = (file.with_suffix(suffix) for suffix in (".task.json", ".curve.json", ".log"))
    if task.exists():
        found["task"] = digest_parts(canon.value(_json(task)), 0)
    if curve.exists():
        found["curve"] = _columns(_json(curve)["rows"])
    if log.exists():
        found["log"] = canon.lines(log.read_text())
    return found


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: digest_parts(exact_floats([row[name] for row in rows]), 0) for name in rows[0]} if rows else {}


def _optuna(file: Path) -> list[dict[str, Any]]:
    """The Optuna trials of a database; dates are not told."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    try:
        trials = optuna.load_study(study_name=None, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "values": exact_floats(trial.values),
            "params": exact_floats(trial.params),
            "user_attrs": exact_floats(trial.user_attrs),
            "intermediate_values": exact_floats(trial.intermediate_values),
        }
        for trial in trials
    ]


def _nodes(folder: Path) -> dict[str, dict[str, str]]:
    """The cached states by key, and what their files hold."""
    manifests = sorted((folder / "stages").rglob("manifest.json"))
    return {file.parent.name: _contents(_json(file)) for file in manifests}


def _contents(manifest: Any) -> dict[str, str]:
    return {name: about["sha256"] for name, about in manifest["body"]["files"].items()}


def _table(file: Path) -> dict[str, Any]:
    table = pd.read_parquet(file)
    return {
        name: [str(table[name].dtype), digest_parts([str(value) for value in table[name].tolist()], 0)]
        for name in table.columns
        if name not in VARYING
    }
