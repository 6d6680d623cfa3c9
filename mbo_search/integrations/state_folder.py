"""The state of a foreign model between two steps as a folder, and back, bit for bit. Nothing is unpickled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mbo_search.errors import StoreError
from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json, write_json
from mbo_search.train.foreign.request import SpanStrategy

STATE = "stages.json"
_MODEL, _OPTIMIZER, _AVERAGES = "model.safetensors", "optimizer.safetensors", "averages.safetensors"
_CHECKPOINT, _CHECKPOINT_FILE = "step-", "checkpoint.json"


class SavedStages(Description):
    """What of a state is not a tensor.

    Attributes:
        schema_version: Version of this format.
        step: Optimizer steps of the schedule done.
        strategy: The strategy in force; the next hand-over starts from it.
        numbers: What of the optimizer's state is a number.
    """

    schema_version: Literal["mbo-search/stages/1"] = "mbo-search/stages/1"
    step: int = Field(ge=0)
    strategy: SpanStrategy
    numbers: dict[str, bool | int | float]


def write_stages(
    folder: Path, saved: SavedStages, optimizer: Mapping[str, Tensor], averages: Mapping[str, Tensor]
) -> None:
    """Write everything but the model's weights; what is not a tensor comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(optimizer, folder / _OPTIMIZER)
    _save(averages, folder / _AVERAGES)
    (folder / STATE).write_text(json.dumps(saved.model_dump(mode="json"), sort_keys=True), encoding="utf-8")


def read_stages(folder: Path) -> tuple[SavedStages, dict[str, Tensor], dict[str, Tensor]]:
    """Read what `write_stages` has written.

    Raises:
        StoreError: If it is not there or damaged.
    """
    try:
        saved = SavedStages.model_validate(read_json(folder / STATE))
        return saved, load_file(folder / _OPTIMIZER), load_file(folder / _AVERAGES)
    except (OSError, ValueError, ValidationError, SafetensorError) as error:
        raise StoreError(f"{folder}: holds no state of an adapter ({error})") from error


def write_model(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the weights of a model that may change."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(tensors, folder / _MODEL)


@torch.no_grad()
def read_model(folder: Path, own: Mapping[str, Tensor]) -> None:
    """Give a model the weights of a folder, in place.

    Raises:
        StoreError: If the folder holds another model's.
    """
    try:
        found = load_file(folder / _MODEL)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{folder}: holds no weights ({error})") from error
    differ = sorted(found.keys() ^ own.keys()) + [
        name for name in found.keys() & own.keys() if found[name].shape != own[name].shape
    ]
    if differ:
        raise StoreError(f"{folder}: holds the state of another model: {', '.join(differ[:3])}")
    for name, tensor in own.items():
        tensor.copy_(found[name])


def newest_checkpoint(partial: Path, key: str) -> Path | None:
    """The furthest whole checkpoint of a request, if there is one; what belongs to others is passed over."""
    by_step = sorted(partial.glob(f"{_CHECKPOINT}*"), key=lambda path: int(path.name.removeprefix(_CHECKPOINT)))
    return next((path for path in reversed(by_step) if _key_of(path) == key), None)


def new_checkpoint(partial: Path) -> Path:
    """An empty folder for a checkpoint that is being written."""
    folder = partial / "unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def keep_checkpoint(written: Path, partial: Path, *, key: str, step: int) -> Path:
    """Let a checkpoint that is whole appear by one rename, and drop those before it."""
    older = list(partial.glob(f"{_CHECKPOINT}*"))
    kept = partial / f"{_CHECKPOINT}{step}"
    if kept in older:
        shutil.rmtree(kept)
    write_json(written / _CHECKPOINT_FILE, {"key": key})
    written.rename(kept)
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return kept


def _key_of(checkpoint: Path) -> object:
    try:
        return read_json(checkpoint / _CHECKPOINT_FILE).get("key")
    except (OSError, ValueError, AttributeError):
        return None


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
