"""The text of the exported program: its head, and the pieces that the schedule needs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from mbo_search.export.python.assemble import assemble
from mbo_search.export.python.features import features_of
from mbo_search.export.python.literals import expanded, literal
from mbo_search.export.python.recipe import Recipe
from mbo_search.model.size import mlp_width
from mbo_search.study.files.schedule_file import ScheduleFile

_WIDTH = 88
_TIED = "\0"
"""A blank at which no line is broken."""
_ALWAYS = ("numpy", "safetensors", "tokenizers", "torch")
_OPTIMIZERS = "pytorch-optimizer"


def program(recipe: Recipe, file: ScheduleFile, *, token_type: str, name: str, remarks: Sequence[str]) -> str:
    """Write the program.

    Args:
        recipe: What it trains.
        file: Where that comes from.
        token_type: NumPy's name of the type of the tokens.
        name: Name of the file.
        remarks: What it leaves out.
    """
    body = assemble(_values(recipe, token_type), features_of(recipe))
    return "\n".join([*_script_block(recipe, body), _docstring(recipe, file, name, remarks), "", body])


def _script_block(recipe: Recipe, body: str) -> list[str]:
    """The packages, for programs that run scripts in an environment of their own."""
    packages = [*_ALWAYS, *([_OPTIMIZERS] if "import pytorch_optimizer" in body else [])]
    pins = [f"{package}=={_version(recipe, package)}" for package in sorted(packages)]
    pinned = textwrap.fill(", ".join(literal(pin) for pin in pins), _WIDTH - 6)
    lines = ["/// script", 'requires-python = ">=3.11"', "dependencies = ["]
    return [f"# {line}" for line in (*lines, *(f"    {line}" for line in pinned.splitlines()), "]", "///")]


def _version(recipe: Recipe, package: str) -> str:
    """The version that trained, without what names a build of it, which indexes do not have."""
    recorded = recipe.setup.numerics.get(package.replace("-", "_"), version(package))
    return recorded.partition("+")[0]


def _docstring(recipe: Recipe, file: ScheduleFile, name: str, remarks: Sequence[str]) -> str:
    """What the file is, and what it leaves out; names in it, which may be anybody's, cannot end it."""
    origin = file.provenance
    loss = origin.val_loss if origin.search_loss is None else origin.search_loss
    optimizers = ", then ".join(next(iter(stage["optimizers"])) for stage in recipe.stages)
    title = f"Schedule {origin.trial} of the study {file.study.study}: {optimizers}."
    about = (
        f"Run without arguments (`uv run {name}`, or python with the packages above) it trains, and prints the "
        f"loss that the search recorded with this seed as its last line: val_loss{_TIED}{loss:.6f}. With the same "
        "packages on the same kind of machine it is equal to the last bit. The folder beside this file, named "
        "like it, holds the tokens and the tokenizer."
    )
    noted = "\n".join([*(["Note:"] if remarks else []), *(_filled(f"- {remark}", "  ") for remark in remarks)])
    text = "\n\n".join([textwrap.shorten(title, _WIDTH - 4), _filled(about), noted]).rstrip()
    harmless = text.replace("\\", "/").replace('"', "'")
    return f'"""{harmless}\n"""'


def _filled(text: str, indent: str = "") -> str:
    filled = textwrap.fill(text, _WIDTH, break_on_hyphens=False, subsequent_indent=indent)
    return filled.replace(_TIED, " ")


def _values(recipe: Recipe, token_type: str) -> Mapping[str, str]:
    model, setup = recipe.model, recipe.setup
    sizes = (model.width, model.layers, model.heads, mlp_width(model))
    return {
        "DEVICE, THREADS, MICRO_BATCH": f"{literal(setup.device)}, {setup.threads}, {setup.micro_batch}",
        "SEED": str(recipe.seed),
        "VOCABULARY, TOKEN_TYPE": f"{setup.vocab_size}, {literal(token_type)}",
        "WIDTH, LAYERS, HEADS, MLP_WIDTH": ", ".join(str(size) for size in sizes),
        "CONTEXT, BATCH_TOKENS": f"{model.context}, {setup.batch_tokens}",
        "STAGES": _stages(recipe),
    }


def _stages(recipe: Recipe) -> str:
    """The stages, without what is the same in all of them and the program's own way."""
    is_frozen = any(stage["trainable"] != ["all"] for stage in recipe.stages)
    hidden = () if is_frozen else ("trainable",)
    stages = [{key: value for key, value in stage.items() if key not in hidden} for stage in recipe.stages]
    lines = [f"    {expanded(stage, indent=4)}," for stage in stages]
    return "\n".join(["[", *lines, "]"])
