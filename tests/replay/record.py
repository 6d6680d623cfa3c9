"""Record what the program does with the studies beside this file: `python tests/replay/record.py OUT [STUDY ...]`.

Everything goes through the command line and through files on disk, never through the package's modules, so that the
inside can be rearranged while the recording stands. One JSON file a study is written.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.replay.canon import Canon
from tests.replay.corpus import write_corpus
from tests.replay.step_clock import StepClock

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

COMMANDS = "commands"
"""Name of the recording of what needs no search."""

DIRECTORY = "directory"
"""Name of the recording of what is done with a run directory that an earlier version wrote."""

STUDIES = sorted({file.stem for file in (HERE / "studies").glob("*.yaml")} - {"broken"})
_PACKAGES = ("numpy", "optuna", "scipy", "tokenizers")
"""Packages besides those of the numerics on which the bits of a proposal depend."""


class Program:
    """The program, called in this process as a shell would call it, and what it answered so far."""

    def __init__(self, main: Callable[[], object], canon: Canon) -> None:
        self._main = main
        self._canon = canon
        self.answers: list[dict[str, Any]] = []

    def __call__(self, *arguments: str) -> None:
        """Run a command; its answer is noted as a document with `--json`, else as lines of text."""
        code, out = self._run(arguments)
        as_json = "--json" in arguments
        answer = self._canon.value(json.loads(out)) if as_json else self._canon.lines(out)
        self.answers.append({"command": " ".join(arguments), "code": code, "answer": answer})

    def _run(self, arguments: Sequence[str]) -> tuple[object, str]:
        sys.argv = ["mbo-search", *arguments]
        with tempfile.TemporaryFile("w+") as out:
            with _stdout_into(out.fileno()):
                try:
                    self._main()
                    code: object = 0
                except SystemExit as ended:
                    code = ended.code
            out.seek(0)
            return code, out.read()


@contextmanager
def _stdout_into(target: int) -> Iterator[None]:
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(target, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def entry_point() -> Callable[[], object]:
    """The function that the console command calls, as the project file names it."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["mbo-search"].partition(":")
    return getattr(importlib.import_module(module), name)


def record(name: str, main: Callable[[], object], work: Path) -> dict[str, Any]:
    """Record a study, or what needs none, in a folder of its own."""
    shutil.copytree(HERE / "studies", work)
    write_corpus(work / "text.txt")
    os.chdir(work)
    os.environ["MBO_SEARCH_CACHE"] = str(work / "cache")
    canon = Canon([(work.resolve(), "WORK"), (work, "WORK")])
    program = Program(main, canon)
    if name == COMMANDS:
        return record_commands(program)
    if name == DIRECTORY:
        return record_directory(program, canon)
    _before(program, name)
    program("run", f"{name}.yaml", "--json")
    for command in _MORE.get(name, ()):
        program(*command)
    _after(program, f"reports/{name}")
    return _found(f"reports/{name}", program, canon)


def record_commands(program: Program) -> dict[str, Any]:
    """The catalogue, the mistakes in a study, and searchers on a table of known losses."""
    program("validate", "broken.yaml", "--json")
    for kind in ("optimizers", "lr_shapes", "regularizers"):
        program("list", kind, "--json")
    searchers = [word for name in _SIMULATED for word in ("--searcher", name)]
    program("simulate", "table.json", *searchers, "--budget", "30", "--seeds", "2", "--json")
    return {"made_with": _versions(), "answers": program.answers}


def record_directory(program: Program, canon: Canon) -> dict[str, Any]:
    """Read a directory that an earlier version wrote, go on with it, and fork it.

    The numerics are those of the fork, which begins here. The directory keeps those that it began with, and is
    refused where they differ.
    """
    read, resumed = "reports/read", "reports/resumed"
    for folder in (read, resumed):
        _copy_directory(Path(folder))
    program("rank", read)
    program("rank", read, "--json")
    program("tree", read)
    program("report", read, "--out", "read.html", "--json")
    program("fork", read, "reports/forked", "--set", "search.trials=14", "--json")
    program("resume", resumed, "--json")
    program("confirm", resumed, "--seeds", "2", "--no-equivalent-tokens", "--json")
    program("replay", f"{resumed}/best.yaml", "--json")
    _after(program, resumed)
    return _found(resumed, program, canon) | {"made_with": _made_with(Path("reports/forked"))}


def _copy_directory(run: Path) -> None:
    """Copy it, with the folders of this run in place of those of the machine that wrote it."""
    shutil.copytree(HERE / "directory", run)
    for file in (*run.glob("*.yaml"), *run.glob("*.json")):
        file.write_text(file.read_text().replace("WORK", str(Path.cwd())))


def _found(run: str, program: Program, canon: Canon) -> dict[str, Any]:
    """All that a study's commands answered and left."""
    from tests.replay.directory_values import page_values, read_directory

    pages = sorted(Path().glob("*.html"))
    return {
        "made_with": _made_with(Path(run)),
        "answers": program.answers,
        "directory": read_directory(Path(run), canon),
        "pages": {file.name: page_values(file, canon) for file in pages},
    }


def _before(program: Program, name: str) -> None:
    program("validate", f"{name}.yaml", "--json")
    program("plan", f"{name}.yaml", "--json")
    program("plan", f"{name}.yaml")


def _after(program: Program, run: str) -> None:
    program("rank", run)
    program("tree", run)
    program("export", run, "--out", "one.json", "--to", "json", "--trial", "1", "--json")


_SIMULATED = ("tree", "tpe", "random", "gp", "greedy", "beam2", "beam4", "grid")

_MORE: dict[str, Sequence[Sequence[str]]] = {
    "tree": (
        ("confirm", "reports/tree", "--seeds", "2", "--attribution", "--json"),
        ("report", "reports/tree", "--lang", "zh", "--out", "zh.html", "--json"),
        ("fork", "reports/tree", "reports/longer", "--set", "search.trials=16", "--json"),
        ("resume", "reports/longer", "--json"),
        ("fork", "reports/tree", "reports/wider", "--set", "stages.1.optimizer=[adamw, muon, lion]", "--json"),
        ("fork", "reports/tree", "reports/seeded", "--set", "seed=1", "--json"),
        ("resume", "reports/tree", "--set", "seed=1", "--json"),
        ("compare", "reports/tree", "reports/longer:1", "--out", "compare.html", "--json"),
        ("replay", "reports/tree/best.yaml", "--json"),
        ("sample", "reports/tree", "--prompt", "the river", "--tokens", "20", "--json"),
    ),
}
"""Commands of some studies behind `run`."""


def _made_with(run: Path) -> dict[str, str]:
    """What must be equal for equal bits: the numerics as the run directory tells them, and who proposes."""
    return json.loads((run / "setup.json").read_text())["numerics"] | _versions()


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {"python": ".".join(map(str, sys.version_info[:2]))}


def _clean_environment() -> None:
    """No setting of the machine reaches what is recorded."""
    for name in [name for name in os.environ if name.startswith(("MBO_", "OPTUNA_", "HF_"))]:
        del os.environ[name]
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = "1"


def main(out: Path, names: Sequence[str]) -> None:
    """Record studies into a folder, and say what each took."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    _clean_environment()
    clock = StepClock()
    clock.install()
    program = entry_point()
    for name in names:
        began = sum(os.times()[:2])
        clock.restart()
        with tempfile.TemporaryDirectory() as folder:
            found = record(name, program, Path(folder) / "work")
            os.chdir(out)
        text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        whole = out / f"{name}.json"
        part = whole.with_suffix(".part")
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(whole)  # who waits for the file finds it whole
        print(f"{name}: {sum(os.times()[:2]) - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [COMMANDS, DIRECTORY, *STUDIES])
