"""Files and folders that a study names: data, tokenizer, schedule files. Relative ones belong to its folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.baseline_names import is_schedule_path, split_baseline
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.files.paths import absolute_path, is_corpus, sections_with_base
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.fresh_models import OwnModuleSpec
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.study.spec.study import StudySpec
from mbo_search.study.study import Study
from mbo_search.units import printable

_SHOWN_CHARACTERS = 200


def with_base(study: Study, base: Path) -> Study:
    """Make every path in a study absolute."""
    baselines = tuple(
        absolute_path(name, base) if split_baseline(name) is None and is_schedule_path(name) else name
        for name in study.baselines
    )
    sections = sections_with_base(study, base)
    return study.model_copy(update={**sections, "baselines": baselines})


def file_problems(study: StudySpec, base: Path, already_wrong: Collection[str]) -> tuple[Problem, ...]:
    """Report files that a study names but that do not exist, and schedule files that do not fit it."""
    budget_is_wrong = any(path.startswith(("budget", "train")) for path in already_wrong)
    budget = None if budget_is_wrong else _budget(study)
    found = (
        *_missing(study, base),
        *_bad_model(study, base),
        *_bad_runner(study, base),
        *_bad_schedules(study, base, budget),
    )
    return tuple(problem for problem in found if problem.key not in already_wrong)


def _budget(study: StudySpec) -> BudgetSteps | None:
    """The budget in steps; None if it is too small, which a rule reports."""
    try:
        return study_budget(study)
    except StudyError:
        return None


def _missing(study: StudySpec, base: Path) -> Iterator[Problem]:
    for index, source in enumerate(study.data.source):
        if not is_corpus(source):
            rule = "is neither a built-in corpus nor a file, folder or pattern that exists"
            hint = nearest_hint(source, CORPORA) or f"corpora are {', '.join(CORPORA)}; paths start at {base}"
            missing = Problem(key=f"data.source.{index}", value=source, rule=rule, hint=hint)
            yield from _unusable(source, base, missing)
    named = [
        (f"data.validation.{index}", path)
        for index, path in enumerate(study.data.validation or ())
        if not is_corpus(path)
    ]
    tokenizer = study.data.tokenizer
    if tokenizer.kind == "file" and tokenizer.path is not None and tokenizer.path != study.model.own_tokenizer:
        named.append(("data.tokenizer.path", tokenizer.path))
    for key, path in named:
        hint = f"paths start at {base}"
        yield from _unusable(path, base, Problem(key=key, value=path, rule="does not exist", hint=hint))


def _bad_model(study: StudySpec, base: Path) -> Iterator[Problem]:
    """A pretrained model that is no folder with a configuration and weights that are not code, or no such file."""
    if isinstance(study.model, OwnModuleSpec):
        missing = Problem(
            key="model.code", value=study.model.file, rule="does not exist", hint=f"paths start at {base}"
        )
        yield from _unusable(study.model.file, base, missing)
    if not isinstance(study.model, PretrainedSpec):
        return
    name = study.model.pretrained
    missing = Problem(
        key="model.pretrained",
        value=name,
        rule="is not a folder, and nothing is downloaded",
        hint=f"`hf download NAME --local-dir FOLDER` gets a model by its name; paths start at {base}",
    )
    unusable = list(_unusable(name, base, missing))
    yield from unusable or _lacking(Path(absolute_path(name, base)), missing)


def _bad_runner(study: StudySpec, base: Path) -> Iterator[Problem]:
    """A folder in which no command can start, or code that is no file."""
    runner = study.runner
    if runner is None:
        return
    places = [("runner.code", runner.file)] if runner.code else [("runner.folder", runner.folder)]
    for key, path in places:
        hint = f"paths start at {base}"
        yield from _unusable(path, base, Problem(key=key, value=path, rule="does not exist", hint=hint))


def _lacking(folder: Path, missing: Problem) -> Iterator[Problem]:
    """What something that exists lacks of being a model's folder."""
    if not folder.is_dir():
        yield missing
    elif any(folder.glob("*.gguf")) and not any(folder.glob("*.safetensors")):
        if not (folder / "tokenizer.json").is_file():
            hint = (
                'with transformers and gguf installed, `python -c "from transformers import AutoTokenizer as A; '
                "A.from_pretrained('FOLDER', gguf_file='FILE').save_pretrained('FOLDER')\"` writes it"
            )
            yield replace(missing, rule="holds a .gguf file without a tokenizer.json beside it", hint=hint)
    elif not (folder / "config.json").is_file():
        hint = "name a folder that `save_pretrained` of `transformers` has written"
        yield replace(missing, rule="holds no config.json", hint=hint)
    elif not any(folder.glob("*.safetensors")):
        hint = (
            "other formats are not read, as reading them may run what a stranger put in; load the model with "
            "`transformers` where you trust it, and write it with `save_pretrained`"
        )
        yield replace(missing, rule="holds no weights as .safetensors", hint=hint)


def _unusable(path: str, base: Path, missing: Problem) -> Iterator[Problem]:
    """What is wrong with a path: the problem that it is missing, or why it cannot even be looked for."""
    try:
        if not _exists(path, base):
            yield missing
    except StudyError as error:
        yield from (replace(problem, key=missing.key) for problem in error.problems)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        yield replace(
            missing, value=printable(path[:_SHOWN_CHARACTERS]), rule=f"cannot be looked for: {reason}", hint=""
        )


def _bad_schedules(study: StudySpec, base: Path, budget: BudgetSteps | None) -> Iterator[Problem]:
    """Schedule files that cannot be read, or do not lie on the grid of a budget."""
    for index, name in enumerate(study.baselines):
        if split_baseline(name) is not None or not is_schedule_path(name):
            continue
        try:
            schedule = load_schedule(Path(absolute_path(name, base)))
            if budget is not None:
                cut(schedule, budget)
        except StudyError as error:
            for problem in error.problems:
                rule = f"cannot be used: {problem}"
                yield Problem(key=f"baselines.{index}", value=name, rule=rule)


def _exists(path: str, base: Path) -> bool:
    absolute = Path(absolute_path(path, base))
    if absolute.exists():
        return True
    parts = absolute.parts
    first_pattern = next((index for index, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    pattern = "/".join(parts[first_pattern:])
    return bool(pattern) and any(Path(*parts[:first_pattern]).glob(pattern))
