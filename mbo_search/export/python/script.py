"""Writing a trial as one file of plain PyTorch, with its data beside it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mbo_search.errors import Problem, UserError
from mbo_search.export.python.features import OPTIMIZERS, REGULARIZERS, SHAPES
from mbo_search.export.python.program import program
from mbo_search.export.python.recipe import MEASURED_ONLY, Recipe, recipe_of
from mbo_search.export.request import ExportRequest, Written
from mbo_search.study.spec.dimensions.table import dimensions_set
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.system.files import write_atomic
from mbo_search.train.setup.setup import RUNNER, TrainSetup

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData

_SUFFIX = ".py"
_INSTEAD = "use --to yaml, which `mbo-search train` and `replay` read"
_TOKEN_TYPES = {"uint16": "<u2", "uint32": "<u4"}


def write_script(request: ExportRequest) -> Written:
    """Write the file, and the folder with its tokens and tokenizer.

    Raises:
        UserError: If plain PyTorch of this form cannot express the trial; with every reason.
        DataError: If the tokens are gone and cannot be made again.
    """
    setup = request.run.setup()
    problems = [*_refusals(request, setup)]
    if problems:
        raise UserError(problems)
    prepared = request.prepared()
    recipe = recipe_of(request.file, setup)
    remarks = tuple(_remarks(request, recipe))
    text = program(
        recipe,
        request.file,
        token_type=_TOKEN_TYPES[prepared.metadata.dtype],
        name=request.out.name,
        remarks=remarks,
    )
    data = request.out.with_suffix(".data")
    write_data(data, prepared, setup)
    write_atomic(request.out, text)
    following = f"train it: uv run {shlex.quote(str(request.out))}"
    return Written(files=(request.out, data), remarks=remarks, next=following)


def _refusals(request: ExportRequest, setup: TrainSetup) -> Iterator[Problem]:
    """Everything for which there is no piece, with what to do instead."""
    where = f"{request.run.path} #{request.trial}"
    if request.out.suffix != _SUFFIX:
        yield Problem(key="--out", value=str(request.out), rule=f"must end in {_SUFFIX} with --to python")
    reasons = {
        "trains a model that is not the built-in decoder": not isinstance(setup.model, ModelSpec),
        "trains on a task, of whose examples only a part is asked": setup.packing is not None,
        f"is trained by {setup.ranks} processes together": setup.ranks > 1,
        "was trained by a runner of its own": setup.runner is not None or RUNNER in setup.numerics,
    }
    for rule, is_there in reasons.items():
        if is_there:
            yield Problem(
                key="--to", value="python", rule=f"cannot express that it {rule}", hint=_INSTEAD, where=where
            )
    for name in _unknown(request):
        rule = f"has no code for {name}"
        yield Problem(key="--to", value="python", rule=rule, hint=_INSTEAD, where=where)


def _unknown(request: ExportRequest) -> Iterator[str]:
    """Names of what other packages have brought, and of settings of a stage that no piece knows."""
    known = {*REGULARIZERS, *MEASURED_ONLY}
    found = [
        name
        for stage in request.file.schedule.stages
        for name, is_known in (
            (stage.optimizer, stage.optimizer in OPTIMIZERS),
            (stage.lr_shape.kind, stage.lr_shape.kind in SHAPES),
            *((one.kind, one.kind in known) for one in stage.regularizers),
            *((name, False) for name in dimensions_set(stage)),
        )
        if not is_known
    ]
    yield from dict.fromkeys(found)


def _remarks(request: ExportRequest, recipe: Recipe) -> Iterator[str]:
    """What the file leaves out, a sentence each."""
    measured = [stage.name for stage in request.file.schedule.stages if stage.strength("ema") is not None]
    if measured:
        yield (
            f"The moving average of the weights (`ema`, {', '.join(measured)}) was measured beside them and "
            "changed nothing; its loss stands in the report."
        )
    if recipe.setup.gradient_checkpointing:
        yield "Activations are kept for the backward pass, not computed again, which needs more memory."
    if recipe.setup.compiled:
        yield "The search compiled the passes of its steps; here they run as written, which rounds otherwise."
    torch = recipe.setup.numerics.get("torch", "")
    if "+" in torch:
        yield f"The search ran on torch {torch}; other builds of that version may round otherwise."
    yield "Judged documents and the test split: the loss is that of the windows that steered the search."


def write_data(folder: Path, prepared: PreparedData, setup: TrainSetup) -> None:
    """Write the training tokens, the tokens of the evaluation windows, and the tokenizer."""
    from mbo_search.data.token_files import token_file
    from mbo_search.data.windows import WindowRows
    from mbo_search.train.setup.eval_text import evaluation_rows

    rows = evaluation_rows(prepared, setup)
    assert isinstance(rows, WindowRows), "tasks and masked models are refused before"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(prepared.folder / token_file("train"), folder / "train.tokens")
    starts = np.asarray(rows.windows.starts, dtype=np.int64)[:, None]
    windows = np.ascontiguousarray(rows.tokens[starts + np.arange(rows.windows.context + 1)])
    write_atomic(folder / "windows.tokens", windows.tobytes())
    shutil.copytree(prepared.tokenizer_folder, folder / "tokenizer", dirs_exist_ok=True)
