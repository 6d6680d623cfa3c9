"""Every command of the documentation is run, with small settings; those that are not have a reason beside them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from mbo_search.cli.app import app
from mbo_search.cli.console import run_app
from mbo_search.system.files import read_json, write_json
from mbo_search.testing.pretrained import write_pretrained
from tests.cli.tiny import write_study
from tests.documentation.commands import PAGES, ROOT, Command, documented_commands, named_files
from tests.helpers.forks import forks

SMALL = {
    "budget.tokens": "20480",
    "data.source": "[text.txt]",
    "data.tokenizer": "{kind: bytes}",
    "evaluation.tokens": "1024",
    "model": "{layers: 1, width: 16, heads: 2, context: 32}",
    "resources.workers": "1",
    "search.trials": "4",
    "train.batch_tokens": "256",
    "train.precision": "float32",
    "train.threads": "1",
}
"""What is set behind a command that trains a study, so that it takes seconds."""

SETTINGS = {
    "run": SMALL,
    "plan": SMALL,
    "validate": {},
    "train": {"budget.tokens": "10240"},
    "resume": {"search.trials": "5"},
    "fork": {"search.trials": "5"},
}
SMALLER = {
    "layers: 6 ": "layers: 2 ",
    "tokens: 20480": "tokens: 6144",
    "tokens: 40k": "tokens: 10240",
    "batch_tokens: 1024": "batch_tokens: 256",
    "batch_tokens: 512": "batch_tokens: 128",
}
"""What is changed in the files of a page, so that it takes seconds."""

PLACEHOLDERS = {
    "DIR": ["reports/my-study"],
    "DIR...": ["reports/my-study"],
    "DIR:TRIAL": ["reports/my-study:0"],
    "NEWDIR": ["reports/another"],
    "STUDY": ["study.yaml"],
    "FILE": ["study.yaml"],
    "TABLE": ["table.json"],
    "KIND": ["optimizers"],
    "TRIAL": ["0"],
    "FOLDER": ["figures"],
    "...": [],
}
NOT_RUN = {
    "mbo-search run study.yaml --address": "needs a Ray cluster; the tests of the Ray backend start one",
    "mbo-search run study.yaml --set search.storage=postgresql": "needs a server; the tests of clusters start one",
    "mbo-search run studies/NAME.yaml": "stands for any study",
    "mbo-search run examples/own-trainer/": "takes minutes; tests/own_trainer searches it with fewer schedules",
    "mbo-search run next.yaml --follow": "needs trials that say something; tests/cli/advising follows some",
    "mbo-search run --follow": "needs trials that say something; tests/cli/advising follows some",
    "mbo-search run --example microanneal": "has mixtures of its own corpora; its tests read them",
    "mbo-search fork DIR NEWDIR --set 'data.source=[FILES]'": "stands for any texts; the tests of forks do it",
    "mbo-search judge --baseline untuned.yaml": "trains for minutes; the tests of judging train a short schedule",
    "mbo-search run study.yaml --log mlflow": "needs a package; the tests of loggers install it",
    "mbo-search run examples/plain-loop.yaml": "trains for minutes; the tests of integrations train less of it",
    "mbo-search log DIR --log lines": "needs the logger that the page defines; the tests of extensions add it",
    "mbo-search export DIR --to markdown": "needs the format that the page defines; the tests of extensions add it",
}
"""Beginnings of commands that are not run here, and why."""

COMMANDS = [command for page in PAGES for command in documented_commands(page)]


def ours(command: Command) -> bool:
    return command.text.startswith("mbo-search ")


def reason_not_to_run(command: Command) -> str | None:
    return next((reason for start, reason in NOT_RUN.items() if command.text.startswith(start)), None)


def test_the_pages_show_many_commands():
    assert len([command for command in COMMANDS if ours(command)]) > 40


def test_every_exception_is_still_needed():
    unused = [start for start in NOT_RUN if not any(command.text.startswith(start) for command in COMMANDS)]
    assert unused == []


@pytest.mark.parametrize("command", [found for found in COMMANDS if ours(found)], ids=str)
def test_the_command_and_its_options_exist(command):
    name, *rest = command.words[1:]
    if name.startswith("-"):
        return
    known = get_command(app).commands[name]
    options = {option for parameter in known.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= options | {"--help", "-h"}


@pytest.mark.parametrize("command", [found for found in COMMANDS if found.text.startswith("make ")], ids=str)
def test_the_target_is_in_the_makefile(command):
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    variables = re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for word in command.words[1:]:
        assert word in targets or word.partition("=")[0] in variables, word


@pytest.fixture(scope="module")
def scripts():
    """A process in whose forks the scripts run, so that the libraries are loaded once."""
    with forks([sys.executable], ROOT, {**os.environ, "PYTHONPATH": str(ROOT)}, ["torch"]) as scripts:
        yield scripts


@pytest.mark.parametrize("command", [found for found in COMMANDS if "python " in found.text], ids=str)
def test_the_script_exists_and_explains_itself(command, scripts):
    words = command.words
    start = next(place for place, word in enumerate(words) if word.endswith("python"))
    end = start + (3 if words[start + 1] == "-m" else 2)
    script = words[end - 1]
    if script.startswith("examples/"):
        assert (ROOT / script).is_file()  # tests/api/test_examples.py runs it
        return
    folder = ROOT / "benchmarks" / "tables" if script.startswith("../") else ROOT
    if words[start + 1] == "-m":
        program = f"import runpy; runpy.run_module({script!r}, run_name='__main__')"
    else:
        begin = f"import runpy, sys; sys.path.insert(0, {str((folder / script).parent)!r})"
        program = f"{begin}; runpy.run_path({script!r}, run_name='__main__')"
    done = scripts.run(["--help"], program=program, folder=folder)
    assert done.returncode == 0, done.stderr
    options = {word.partition("=")[0] for word in words[end:] if word.startswith("--")}
    assert {option for option in options if option not in done.stdout} == set()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a small study, its finished and confirmed run, and what else commands name."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder, tokens=1280, trials=3, first="adamw", control=0.0)
    text = (folder / "study.yaml").read_text().replace("study: tiny", "study: my-study")
    interval = text.replace("relative: [0.5, 1.0]", "relative: {low: 0.5, high: 1.0}")
    assert interval != text
    (folder / "study.yaml").write_text(interval)
    run(folder, ["run", "study.yaml"])
    run(folder, ["confirm", "reports/my-study", "--seeds", "2"])
    return folder


@pytest.fixture
def place(finished, tmp_path):
    """A copy of that folder for one page, with the names that the pages use."""
    place = tmp_path / "place"
    shutil.copytree(finished, place)
    for name in ("quickstart", "mine"):
        shutil.copytree(place / "reports" / "my-study", place / "reports" / name)
    shutil.copy(place / "study.yaml", place / "my-study.yaml")
    table = sorted((ROOT / "benchmarks" / "tables").glob("*.json"))[0]
    shutil.copy(table, place / "table.json")
    return place


@pytest.fixture
def run_here(place, monkeypatch, capfd):
    """Run a command in that copy and in this process: starting one that trains takes longer than what it does."""
    monkeypatch.chdir(place)
    for name, value in environment(place).items():
        monkeypatch.setenv(name, value)

    def run_here(words: list[str]) -> None:
        capfd.readouterr()
        code = run_app(app, words)
        said = capfd.readouterr()
        assert code == 0, f"{words}\n{said.out}\n{said.err}"

    return run_here


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(ours, documented_commands(page)))], ids=str)
def test_the_commands_of_a_page_run_in_their_order(page, place, finished, run_here):
    shown = named_files(page)
    for name, text in shown.items():
        (place / name).write_text(smaller(text), encoding="utf-8")
    if "smollm2-135m" in page.read_text(encoding="utf-8"):
        write_examples(place)
    for command in documented_commands(page):
        if ours(command) and reason_not_to_run(command) is None:
            for name in ("my-study", "quickstart"):
                if not (place / "reports" / name).exists():  # an earlier command made room for a run of its own
                    shutil.copytree(finished / "reports" / "my-study", place / "reports" / name)
            words = prepared(command, place)
            words = words if set(words) & set(shown) else small(words)  # files of a page are small as they are
            if words[0] == "serve" and "--help" not in words:
                served(place, words)
            else:
                run_here(words)


def smaller(text: str) -> str:
    """A file of a page with less to train."""
    for shown, used in SMALLER.items():
        text = text.replace(shown, used)
    return text


def write_examples(place: Path) -> None:
    """The model and the pairs that pages on fine-tuning name, only smaller."""
    folder = write_pretrained("llama", place / "smollm2-135m")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "max_position_embeddings": 512, "num_hidden_layers": 3})
    rows = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(400)]
    (place / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def prepared(command: Command, place: Path) -> list[str]:
    """The arguments of a command in a folder where it can be run."""
    words = [word for given in command.words[1:] for word in PLACEHOLDERS.get(given, [given])]
    if not any(word for word in words[1:] if not word.startswith("-")) and words[0] not in ("doctor", "run"):
        return [words[0], "--help"]  # the command is only mentioned
    if words[0] == "init":
        (place / words[1]).unlink(missing_ok=True)
    if words[0] == "run" and "--warm-start" in words:
        return [*words, "--out", "reports/warm"]
    if words[0] == "run":
        for name in ("my-study", "quickstart"):
            shutil.rmtree(place / "reports" / name, ignore_errors=True)
    return words if len(words) > 1 else [*words, "--help"]


def small(words: list[str]) -> list[str]:
    """The same command with settings under which it takes seconds."""
    if "--help" in words:
        return words
    more = SETTINGS.get(words[0], {})
    if words[0] == "confirm":
        return [*words, "--seeds", "2"]
    if words[0] == "dashboard":
        return [*words, "--no-start"]
    return [*words, *(word for key, value in more.items() for word in ("--set", f"{key}={value}"))]


PROGRAM = str(Path(sys.executable).with_name("mbo-search"))


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # as in an activated one
    return {**os.environ, "MBO_SEARCH_CACHE": str(folder.parent / "cache"), "COLUMNS": "100", "PATH": path}


def hear_interrupts() -> None:
    """Hear SIGINT, which shells let the commands that they run in the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def served(folder: Path, words: list[str]) -> None:
    """A server says where it is, and ends when it is interrupted."""
    with subprocess.Popen(
        [PROGRAM, *words],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hear_interrupts,
    ) as server:
        assert server.stdout is not None
        assert any("http://127.0.0.1" in line for line in server.stdout)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) in (0, 130)


def run(folder: Path, words: list[str]) -> None:
    done = subprocess.run(
        [PROGRAM, *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
