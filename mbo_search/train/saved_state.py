"""A training state as a folder, and back, bit for bit, at any step.

`weights.safetensors` holds the weights that learn, `optimizer.safetensors` the optimizer's tensors,
`averages.safetensors` the moving averages where there are any, and `state.json` everything else. What a pretrained
model has never trained is not in it, and is read from its folder. Nothing is unpickled. Names, shapes and types are
checked against the model before a single number is taken over.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mbo_search.data.mixing.reading import Reading
from mbo_search.errors import StoreError, StudyError
from mbo_search.model.build import build_model
from mbo_search.model.language_model import LanguageModel, recompute_layers, set_dropout
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.optim.regularizers import Regularizers, begin_regularizers
from mbo_search.optim.staged import build_optimizer
from mbo_search.optim.state import OptimizerState
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.system.files import open_to_others, read_json
from mbo_search.train.averages import SegmentMean, StageMean
from mbo_search.train.kept_weights import (
    Shapes,
    base_of,
    check_base,
    check_kept,
    check_shapes,
    kept_weights,
    note_trained,
    without_base,
)
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import SegmentSums, TrainState

_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_AVERAGES = "averages.safetensors"
_STATE = "state.json"
_MEAN = "mean/"
_STAGE_MEAN = "stage_mean/"

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class SavedSums(Description):
    """`SegmentSums` as JSON."""

    loss_sum: float
    num_tokens: int
    grad_norm_sum: float
    num_steps: int


class SavedState(Description):
    """`state.json`: everything of a training state that is not a tensor.

    Attributes:
        schema_version: Version of this format.
        step: Optimizer steps of the schedule done.
        position_tokens: Tokens of the training stream consumed.
        segment_index: The grid segment begun last.
        stage: The stage in force; the next hand-over starts from it.
        high_losses: Steps in a row with a high loss.
        sums: Sums of the segment so far.
        mean_steps: Steps in the mean of the weights over the segment; None where none is kept.
        has_stage_mean: Whether it holds a mean of the weights that is to take their place.
        optimizer_numbers: What of the optimizer's state is a number.
        adapter: Adapters beside the model's weights; None: it has none.
        base: Digest of the pretrained weights that are not in it, as no stage has trained them; None: all are.
        reading: Where the shares of the sources last changed; None: all text is read in its order.
    """

    schema_version: Literal["mbo-search/state/1"] = "mbo-search/state/1"
    step: int = Field(ge=0)
    position_tokens: int = Field(ge=0)
    segment_index: int = Field(ge=0)
    stage: Stage
    high_losses: int = Field(ge=0)
    sums: SavedSums
    mean_steps: int | None = Field(default=None, ge=0)
    has_stage_mean: bool = Field(default=False, exclude_if=lambda found: not found)
    optimizer_numbers: dict[str, bool | int | float]
    adapter: Adapter | None = Field(default=None, exclude_if=lambda found: found is None)
    base: str | None = Field(default=None, exclude_if=lambda found: found is None)
    reading: Reading | None = Field(default=None, exclude_if=lambda found: found is None)


def fresh_state(setup: TrainSetup, seed: int) -> TrainState:
    """The untrained model."""
    model = build_model(setup.own_model, setup.vocab_size, seed).to(setup.device)
    if setup.gradient_checkpointing:
        recompute_layers(model)
    return TrainState(model=model)


def save_state(state: TrainState, folder: Path) -> None:
    """Write a state between two steps.

    Raises:
        OSError: If it cannot be written.
    """
    assert state.optimizer is not None
    assert state.stage is not None
    exported = state.optimizer.export_state()
    _write_tensors(folder / _WEIGHTS, kept_weights(state.model))
    _write_tensors(folder / _OPTIMIZER, exported.tensors)
    averages = without_base(_averages(state), state.model)
    if averages:
        _write_tensors(folder / _AVERAGES, averages)
    saved = SavedState(
        step=state.step,
        position_tokens=state.position_tokens,
        segment_index=state.segment_index,
        stage=state.stage,
        high_losses=state.high_losses,
        sums=SavedSums(
            loss_sum=state.sums.loss_sum,
            num_tokens=state.sums.num_tokens,
            grad_norm_sum=state.sums.grad_norm_sum,
            num_steps=state.sums.num_steps,
        ),
        mean_steps=state.mean.count if state.mean else None,
        has_stage_mean=state.stage_mean is not None,
        optimizer_numbers=exported.numbers,
        adapter=state.model.adapter,
        base=base_of(state.model),
        reading=state.reading,
    )
    (folder / _STATE).write_text(json.dumps(saved.model_dump(mode="json"), sort_keys=True, allow_nan=False))


def load_state(folder: Path, setup: TrainSetup) -> TrainState:
    """Read a state.

    Raises:
        StoreError: If a file is missing or unreadable, or holds anything but this model's state.
    """
    saved = _read_saved(folder / _STATE)
    state = TrainState(model=_read_model(saved, folder / _WEIGHTS, setup))
    _load_optimizer(state, saved, folder, setup.budget())
    state.stage = saved.stage
    state.step, state.position_tokens = saved.step, saved.position_tokens
    state.segment_index, state.high_losses = saved.segment_index, saved.high_losses
    state.reading = saved.reading
    state.sums = SegmentSums(**saved.sums.model_dump())
    state.mean = None if saved.mean_steps is None else SegmentMean(state.model)
    state.stage_mean = StageMean(state.model) if saved.has_stage_mean else None
    _load_averages(state, saved.mean_steps or 0, folder / _AVERAGES)
    return state


def _load_optimizer(state: TrainState, saved: SavedState, folder: Path, budget: BudgetSteps) -> None:
    """Give a state its optimizer and regularizers; what was read is let go before the averages are."""
    tensors = _read_tensors(
        folder / _OPTIMIZER, lambda shapes: _check_optimizer(state.model, shapes, saved.optimizer_numbers)
    )
    try:
        budget_steps = budget.of_stage(saved.stage).total_steps
        state.optimizer = build_optimizer(state.model, saved.stage, budget_steps=budget_steps)
        state.optimizer.import_state(OptimizerState(tensors, dict(saved.optimizer_numbers)))
        _check_trained(state.model, folder)
        state.regularizers = begin_regularizers(state.model, saved.stage, Regularizers())
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, StudyError) as error:
        raise StoreError(f"{folder}: holds no state of its stage ({error!r})") from error


def load_model(state_dir: Path, setup: TrainSetup) -> LanguageModel:
    """Load a trained model for evaluation, sampling or export.

    Raises:
        StoreError: If the folder holds no state of this model.
    """
    saved = _read_saved(state_dir / _STATE)
    optimizer = saved.stage.optimizer
    if optimizer in OPTIMIZERS and not evaluates_a_mean(optimizer):
        model = _read_model(saved, state_dir / _WEIGHTS, setup)
    else:
        model = _evaluated_model(state_dir, setup)
    set_dropout(model, 0.0)
    return model.eval().requires_grad_(False)


def _evaluated_model(state_dir: Path, setup: TrainSetup) -> LanguageModel:
    """The model with the weights that its optimizer evaluates instead of those that it trains."""
    state = load_state(state_dir, setup)
    assert state.optimizer is not None
    state.optimizer.eval_mode()
    return state.model


def _read_model(saved: SavedState, path: Path, setup: TrainSetup) -> LanguageModel:
    """The model of a state; what the state leaves out it has from its folder."""
    check_base(setup.own_model, saved.base)
    model = fresh_state(setup, seed=0).model
    if saved.adapter is not None:
        try:
            model.attach(saved.adapter, seed=0)
        except StudyError as error:
            raise StoreError(f"{path}: {error}") from error
    weights = _read_tensors(path, lambda shapes: check_kept(model, saved.base, shapes))
    _load_weights(model, weights, where=path)
    model.trained = frozenset(weights)
    return model


def _averages(state: TrainState) -> dict[str, Tensor]:
    means = {_MEAN: state.mean, _STAGE_MEAN: state.stage_mean}
    return state.regularizers.export_state() | {
        f"{prefix}{name}": tensor
        for prefix, mean in means.items()
        if mean is not None
        for name, tensor in mean.export_state().items()
    }


def _load_averages(state: TrainState, mean_steps: int, path: Path) -> None:
    left_out = _averages(state)
    needed = without_base(left_out, state.model)
    if not needed and not path.exists():
        return
    averages = left_out | _read_tensors(path, lambda shapes: _check_averages(left_out, needed, shapes))
    state.regularizers.import_state(averages)
    if state.mean is not None:
        state.mean.import_state(_without_prefix(averages, _MEAN), mean_steps)
    if state.stage_mean is not None:
        state.stage_mean.import_means(_without_prefix(averages, _STAGE_MEAN))


def _without_prefix(averages: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in averages.items() if name.startswith(prefix)}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        open_to_others(path)
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, f"cannot be written: {error}", str(path)) from error


@contextmanager
def _named_in_unicode(path: Path) -> Iterator[str]:
    """Another name of a file whose own is no Unicode: safetensors would look for it under a changed one."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        descriptor = os.open(path, os.O_RDONLY)
    else:
        yield str(path)
        return
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _read_tensors(path: Path, check: Callable[[Shapes], None]) -> dict[str, Tensor]:
    """Read tensors whose names and shapes, as the file's header gives them, pass a check; then their types must."""
    try:
        with _named_in_unicode(path) as name, safe_open(name, framework="pt") as file:
            check({name: tuple(file.get_slice(name).get_shape()) for name in file.keys()})  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error
    except (OSError, RuntimeError, SafetensorError) as error:  # torch cannot map a file beyond the address space
        raise StoreError(f"{path}: unreadable ({error})") from error
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise StoreError(f"{path}: {name} has type {tensor.dtype}")
    return tensors


def _read_saved(path: Path) -> SavedState:
    try:
        return SavedState.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError) as error:
        raise StoreError(f"{path}: unreadable ({error})") from error


@torch.no_grad()
def _load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, where: Path) -> None:
    parameters = dict(model.named_parameters())
    for name, weight in weights.items():
        if weight.dtype != parameters[name].dtype:
            raise StoreError(f"{where}: {name} has type {weight.dtype}, the model {parameters[name].dtype}")
        parameters[name].copy_(weight)


def _check_trained(model: LanguageModel, folder: Path) -> None:
    """Refuse a state that leaves out what its own stage trains."""
    held = model.trained
    note_trained(model)
    if model.trained != held:
        missing = ", ".join(sorted(model.trained - held)[:5])
        raise StoreError(f"{folder / _WEIGHTS}: {missing} missing")


def _check_averages(known: Mapping[str, Tensor], needed: Collection[str], found: Shapes) -> None:
    """Averages of weights that are left out may be left out, too."""
    check_shapes({name: tuple(one.shape) for name, one in known.items() if name in needed or name in found}, found)


def _check_optimizer(model: nn.Module, found: Shapes, numbers: Iterable[str]) -> None:
    """A slot belongs to a parameter: of its shape, one number, a row or column, or a square as long as one side."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    for key in (*found, *numbers):
        name = key.rpartition("/")[0]
        if name not in shapes:
            raise StoreError(f"{key[:200]} belongs to no parameter of the model")
        if key in found and not _fits(found[key], shapes[name]):
            raise StoreError(f"{key[:200]} has shape {found[key]}, its parameter {shapes[name]}")


def _fits(shape: tuple[int, ...], parameter: tuple[int, ...]) -> bool:
    is_square = len(shape) == 2 and shape[0] == shape[1] and shape[0] in parameter
    is_part = len(shape) == len(parameter) and all(
        found in (1, whole) for found, whole in zip(shape, parameter, strict=True)
    )
    return is_part or len(shape) == 0 or is_square
