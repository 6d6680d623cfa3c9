"""A trained module of the user's own as a folder: its weights, its code, and how it is called."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mbo_search.errors import Problem, UserError
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.language_model import LanguageModel
from mbo_search.model.own_module import OwnModel
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.fresh_models import OwnModuleSpec
from mbo_search.system.files import read_json, write_json

CALL = "module.json"
_WEIGHTS = "model.safetensors"


class ModuleCall(Description):
    """How the class is called.

    Attributes:
        code: `FILE:CLASS`, the file beside this one.
        arguments: What it is called with besides `vocab_size` and `context`.
        context: Tokens that it sees at once.
        vocab_size: Tokens of the vocabulary.
    """

    code: str
    arguments: dict[str, JsonValue]
    context: int
    vocab_size: int


def write_module_folder(model: OwnModel, folder: Path) -> None:
    """Write a module: its parameters by their names in it, each once, its file, and last how it is called."""
    spec, file = model.spec, Path(model.spec.file)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.named_parameters()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(file, folder / file.name)
    call = ModuleCall(
        code=f"{file.name}:{spec.class_name}",
        arguments=spec.arguments,
        context=spec.context,
        vocab_size=model.vocab_size,
    )
    write_json(folder / CALL, call.model_dump(mode="json"))


def read_module_folder(folder: Path) -> LanguageModel:
    """Read what `write_module_folder` has written; this runs the code in the folder.

    Raises:
        UserError: If code may not be run, or a file is missing or damaged.
    """
    try:
        call = ModuleCall.model_validate(read_json(folder / CALL))
        given = OwnModuleSpec(
            code=str(folder / call.code), arguments=call.arguments, context=call.context, width=None
        )
        model = build_model(sized_model(given, call.vocab_size), call.vocab_size, seed=0)
        assert isinstance(model, OwnModel)
        # Tied parameters are stored under one of their names.
        model.network.load_state_dict(load_file(folder / _WEIGHTS), strict=False)
    except (OSError, ValueError, ValidationError, SafetensorError, RuntimeError) as error:
        rule = f"cannot be loaded: {str(error).splitlines()[0]}"
        hint = "write the folder again with `mbo-search train`"
        raise UserError([Problem(key="", rule=rule, hint=hint, where=str(folder))]) from error
    return model.eval()
