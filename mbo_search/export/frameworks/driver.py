"""The formats `hf-trainer` and `lightning`: a script that trains a schedule with the real class, without us.

The script holds every setting that a person would look for. Beside it, in a folder with its name, lie the text as
tokens, the model before the first step, and what is too long to be read.
"""

from __future__ import annotations

import json
import pprint
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import Problem, UserError
from mbo_search.export.frameworks import stages_script
from mbo_search.export.frameworks.hub import seed_of, val_loss_of
from mbo_search.export.frameworks.remarks import refuse_inexpressible, remarks_on
from mbo_search.export.hub_folder import write_hub_folder
from mbo_search.export.request import ExportRequest, Written
from mbo_search.model.build import build_model
from mbo_search.model.language_model import LanguageModel
from mbo_search.optim.groups import acting_optimizer, partition_parameters
from mbo_search.results.records.run_data import refuse_foreign
from mbo_search.study.spec.segments import Segment, cut
from mbo_search.system.files import write_atomic, write_json
from mbo_search.train.setup.eval_text import evaluation_rows
from mbo_search.train.setup.setup import TrainSetup

_MARK = "# --- copied from here on ---\n"

_WIDTH = 100

_FROM_A_LIBRARY = frozenset(("lion", "soap", "ademamix", "sf_adamw"))
"""Optimizers of pytorch_optimizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A trainer that scripts are written for.

    Attributes:
        title: Its name.
        packages: What a script needs, as pip takes it.
        imports: Import statements of the end of a script.
        source: File with the end of a script, below a mark.
    """

    title: str
    packages: tuple[str, ...]
    imports: str
    source: str


HF_TRAINER = Framework(
    title="transformers.Trainer",
    packages=("torch", "numpy", "transformers", "accelerate"),
    imports="""from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments, set_seed
""",
    source="trainer_script.py",
)

LIGHTNING = Framework(
    title="the Trainer of Lightning",
    packages=("torch", "numpy", "transformers", "lightning"),
    imports="""from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from transformers import AutoModelForCausalLM
""",
    source="lightning_script.py",
)

_COMMON_IMPORTS = """from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
"""


def write_driver(request: ExportRequest, framework: Framework) -> Written:
    """Write a script and the folder of its data.

    Raises:
        UserError: If the trainer cannot train such a study at all.
        DataError: If the tokens are gone and cannot be made again.
    """
    refuse_foreign(request.run.study().runner, where=str(request.run.path))
    if request.out.suffix != ".py":
        raise UserError([Problem(key="--out", value=str(request.out), rule="must end in .py, as a script does")])
    setup = request.run.setup()
    segments = cut(request.file.schedule, setup.budget())
    stages = [segment.stage for segment in segments if segment.first_step == segment.stage_first_step]
    refuse_inexpressible(request, stages, framework.title)
    prepared = request.prepared()
    model = build_model(setup.own_model, setup.vocab_size, seed_of(request))
    remarks = remarks_on(stages, setup.own_model, val_loss_of(request))
    data = request.out.with_suffix(".data")
    _write_data(data, prepared, setup)
    write_json(data / "stages.json", _long_parts(segments, model))
    write_hub_folder(model, prepared.tokenizer_folder, _emptied(data / "model"))
    write_atomic(request.out, _script(request, framework, _constants(request, model, segments), remarks))
    return Written(files=(request.out, data), remarks=remarks, next=f"train: python {request.out}")


def _by_stage(segments: Sequence[Segment]) -> list[list[Segment]]:
    found: dict[int, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.stage_index, []).append(segment)
    return list(found.values())


def _stages(segments: Sequence[Segment]) -> Iterator[dict[str, object]]:
    """What a person wants to know of each stage."""
    for own in _by_stage(segments):
        stage, first = own[0].stage, own[0]
        yield {
            "name": stage.name,
            "first_step": first.first_step,
            "steps": own[-1].last_step - first.first_step,
            "optimizer": stage.optimizer,
            "hparams": dict(stage.hparams),
            "peak_lr": stage.lr,
            "lr_shape": {"kind": stage.lr_shape.kind, **stage.lr_shape.hparams},
            "warmup_steps": first.clock.warmup_steps,
            "hand_over": first.hand_over,
            "weight_decay": stage.weight_decay,
            "clip_norm": stage.clip_norm,
            "regularizers": {one.kind: one.strength for one in stage.regularizers},
            "trainable": stage.trainable,
        }


def _long_parts(segments: Sequence[Segment], model: LanguageModel) -> list[dict[str, object]]:
    keeps_first = any(one.kind == "l2_sp" for segment in segments for one in segment.stage.regularizers)
    total_steps = segments[-1].last_step
    return [_long_part(own, model, total_steps=total_steps, keeps_first=keeps_first) for own in _by_stage(segments)]


def _long_part(
    own: Sequence[Segment], model: LanguageModel, *, total_steps: int, keeps_first: bool
) -> dict[str, object]:
    """Learning rates of all steps, and by parameter: which optimizer moves it, at which rate, with which decay."""
    stage = own[0].stage
    parameters = {
        member.name.removeprefix("network."): (
            acting_optimizer(stage.optimizer, member.name, member.parameter.ndim),
            group.lr_ratio,
            group.weight_decay,
        )
        for group in partition_parameters(model, stage)
        for member in group.members
    }
    return {
        "rates": [one.lr(step) for one in own for step in range(one.first_step, one.last_step)],
        "parameters": parameters,
        "total_steps": total_steps,
        "keep_first": keeps_first,
    }


def _write_data(data: Path, prepared: PreparedData, setup: TrainSetup) -> None:
    data.mkdir(parents=True, exist_ok=True)
    np.save(data / "train.npy", prepared.tokens("train"))
    rows = evaluation_rows(prepared, setup)
    batch = rows.read(0, rows.num_rows)
    np.save(data / "validation.npy", np.stack([batch.inputs, batch.targets]).astype(np.int32))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _script(
    request: ExportRequest, framework: Framework, constants: Mapping[str, object], remarks: Sequence[str]
) -> str:
    end = Path(__file__).with_name(framework.source).read_text(encoding="utf-8")
    common = Path(stages_script.__file__).read_text(encoding="utf-8")
    optional = any(one.optimizer in _FROM_A_LIBRARY for one in request.file.schedule.stages)
    packages = [*framework.packages, *(["pytorch-optimizer"] if optional else [])]
    return "\n".join(
        (
            "# /// script",
            '# requires-python = ">=3.11"',
            f"# dependencies = {json.dumps(packages)}",
            "# ///",
            _docstring(request, framework, remarks),
            "",
            _COMMON_IMPORTS + framework.imports,
            f'DATA = Path(__file__).with_name("{request.out.with_suffix(".data").name}")',
            *(
                f"{name} = {pprint.pformat(value, width=_WIDTH, sort_dicts=False)}"
                for name, value in constants.items()
            ),
            "",
            *(_copied(text) for text in (common, end)),
        )
    )


def _constants(request: ExportRequest, model: LanguageModel, segments: Sequence[Segment]) -> dict[str, object]:
    """What scripts read by name."""
    network: Any = getattr(model, "network", None)  # that of transformers, or it is our decoder
    return {
        "ORDER": _order(request),
        "PADDING_ROW": None if network is None else network.get_input_embeddings().padding_idx,
        "STAGES": list(_stages(segments)),
    }


def _copied(source: str) -> str:
    """What follows the mark, without notes for type checkers."""
    lines = source.partition(_MARK)[2].strip("\n").split("\n")
    return "\n".join(["", *(line.partition("  # type: ignore")[0] for line in lines), ""])


def _order(request: ExportRequest) -> dict[str, int]:
    """How rows follow one another and make up a step."""
    setup = request.run.setup()
    rows = setup.num_sequences
    return {
        "context": setup.own_model.context,
        "block": setup.block_tokens,
        "seed": seed_of(request),
        "rows": rows,
        "micro_batch": max(size for size in range(1, min(rows, setup.micro_batch) + 1) if rows % size == 0),
        "bf16": int(setup.precision == "bfloat16"),
    }


def _docstring(request: ExportRequest, framework: Framework, remarks: Sequence[str]) -> str:
    study = request.run.study().study.replace('"', "'").replace("\\", "/")
    text = (
        f"Trains schedule #{request.trial} of the study {study} with {framework.title}. "
        f"In the search it ended at a validation loss of {val_loss_of(request):.6f}."
    )
    told = [textwrap.fill(text, _WIDTH)]
    if remarks:
        wrapped = [textwrap.fill(one, _WIDTH, initial_indent="- ", subsequent_indent="  ") for one in remarks]
        told.append("What differs from the search:\n\n" + "\n".join(wrapped))
    body = "\n\n".join(told)
    return f'"""{body}\n"""'
