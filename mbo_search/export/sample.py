"""A continuation of a text by a trained model, wherever its weights lie."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.errors import Problem, RunDirectoryError, UserError, command_line
from mbo_search.export.held_weights import held_weights
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.system.cache import user_cache
from mbo_search.units import printable

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData
    from mbo_search.data.tokenizer import Tokenizer
    from mbo_search.model.language_model import LanguageModel

_MOST_TOKENS = 100_000


def sample(source: Path, prompt: str, *, num_tokens: int = 100, temperature: float = 0.8, seed: int = 0) -> str:
    """Continue a text.

    Raises:
        UserError: If there is no model there, its weights are no longer kept, or a number is out of its range.
    """
    from mbo_search.export.generate import continue_text

    _check_prompt(prompt)
    _check_numbers(num_tokens, temperature)
    model, tokenizer = _load(source)
    return continue_text(model, tokenizer, prompt, num_tokens=num_tokens, temperature=temperature, seed=seed)


def load_trial(
    run: RunDirectory, trial: int, prepared: PreparedData | None = None
) -> tuple[LanguageModel, Tokenizer]:
    """Load the model that a trial ended with.

    Raises:
        RunDirectoryError: If the trial is not complete or its weights are no longer kept.
        DataError: If the prepared data, which hold the tokenizer, are gone and cannot be made again.
    """
    from mbo_search.results.records.run_data import refuse_foreign, same_data
    from mbo_search.train.saved_state import load_model
    from mbo_search.train.setup.probe import default_device

    refuse_foreign(run.study().runner, where=str(run.path))
    setup = run.setup().model_copy(update={"device": default_device()})
    with held_weights(run, trial) as folder:
        model = load_model(folder, setup)
    prepared = same_data(run, user_cache()) if prepared is None else prepared
    return model.eval(), prepared.tokenizer()


def _load(source: Path) -> tuple[LanguageModel, Tokenizer]:
    from mbo_search.export.hub_folder import CONFIG, read_hub_folder
    from mbo_search.export.module_folder import CALL

    if source.is_file():
        return _load_exported(source)
    if (source / CONFIG).is_file() or (source / CALL).is_file():
        return read_hub_folder(source)
    run = RunDirectory.open(source)
    best = make_ranking(run).verdict.winner_trial
    if best is None:
        raise _no_model(source, "holds no complete schedule yet", "resume the search with `mbo-search resume`")
    return load_trial(run, best)


def _load_exported(file: Path) -> tuple[LanguageModel, Tokenizer]:
    exported = load_schedule_file(file)
    run = RunDirectory(file.parent)
    if not run.study_file.is_file():
        hint = f"train it first with `{command_line('train', file, '--out', 'DIR')}`, or give a run directory"
        raise _no_model(file, "is a schedule without weights", hint)
    return load_trial(run, exported.provenance.trial)


def _no_model(path: Path, rule: str, hint: str) -> RunDirectoryError:
    return RunDirectoryError([Problem(key="", where=str(path), rule=rule, hint=hint)])


def _check_prompt(prompt: str) -> None:
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        rule = "holds a byte or character that is not valid UTF-8"
        hint = "write the prompt in UTF-8; check the encoding of the terminal or of the file it comes from"
        raise UserError([Problem(key="prompt", value=printable(prompt[:80]), rule=rule, hint=hint)]) from error


def _check_numbers(num_tokens: int, temperature: float) -> None:
    problems = []
    if not 1 <= num_tokens <= _MOST_TOKENS:
        rule = f"must lie between 1 and {_MOST_TOKENS}"
        problems.append(Problem(key="num_tokens", value=str(num_tokens), rule=rule))
    if not (math.isfinite(temperature) and temperature >= 0):
        rule = "must be a finite number of at least 0"
        problems.append(Problem(key="temperature", value=str(temperature), rule=rule))
    if problems:
        raise UserError(problems)
