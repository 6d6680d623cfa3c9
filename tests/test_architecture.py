"""Proves that the house rules hold: light imports, one-way layers, small functions and folders."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mbo_search"
EXAMPLE_RUN = ROOT / "tests" / "replay" / "directory"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(
    path for folder in ("mbo_search", "tests", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
HEAVY = ("torch", "ray", "optuna", "plotly", "pandas", "pyarrow", "tokenizers", "scipy", "sklearn", "numpy")
PICKLES = ("import pickle", "import cloudpickle", "torch.load(", "torch.save(", "import joblib")
COMMAND_LINE = "from mbo_search.cli.app import app; from mbo_search.cli.console import run_app"
LIBRARY_ADAPTERS = (
    PACKAGE / "optim" / "library.py",
    PACKAGE / "engine" / "backends" / "ray" / "adapter.py",
    PACKAGE / "integrations" / "transformers.py",
)

MOST_FUNCTION_LINES = 40
MOST_MODULES_IN_A_FOLDER = 21
MOST_PARAMETERS = 6


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A module as it is parsed, which only the process that runs these tests needs."""
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def loaded_modules(code: str) -> set[str]:
    """Top-level packages that are loaded in a fresh interpreter after some code ran."""
    program = f"{code}\nimport sys\nprint('LOADED', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import mbo_search",
        "import mbo_search.cli",
        f"{COMMAND_LINE}; run_app(app, ['--help'])",
        f"{COMMAND_LINE}; run_app(app, ['run', '--help'])",
    ],
)
def test_importing_and_help_load_no_heavy_library(code):
    assert loaded_modules(code).isdisjoint(HEAVY)


def test_reading_a_study_file_loads_no_heavy_library():
    loaded = loaded_modules("import mbo_search.study.files.study_file, mbo_search.study.space.space")
    assert loaded.isdisjoint(set(HEAVY) - {"numpy"})


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["rank", str(EXAMPLE_RUN)], {"numpy", "tokenizers"}),
        (["export", str(EXAMPLE_RUN), "-o", "/dev/null/x"], {"numpy"}),
        (["tree", str(EXAMPLE_RUN)], set()),
        (["validate", "--example", "quickstart"], set()),
        (["list", "optimizers"], set()),
        (["doctor", "--quiet"], {"torch", "numpy"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_quick_command_loads_what_it_needs(arguments, allowed):
    loaded = loaded_modules(f"{COMMAND_LINE}; run_app(app, {arguments})")
    assert loaded & {*HEAVY, "datasketch", "pytorch_optimizer", "transformers", "sympy"} <= allowed


def test_continuing_a_text_loads_no_optimizers_and_no_statistics():
    code = "import mbo_search.export.generate, mbo_search.train.saved_state, mbo_search.data.prepare"
    code += "; from mbo_search.optim.implementation import evaluates_a_mean; evaluates_a_mean('muon')"
    loaded = loaded_modules(code)
    assert loaded.isdisjoint({"pytorch_optimizer", "transformers", "sympy", "scipy", "pandas", "datasketch"})


def test_every_module_says_what_it_owns():
    assert [relative(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def test_no_folder_is_a_crowd():
    sizes = Counter(relative(path.parent) for path in MODULES)
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES_IN_A_FOLDER} == {}


def test_functions_stay_small():
    guilty = [
        f"{relative(path)}: {function.name}"
        for path in MODULES
        for function in functions(tree_of(path))
        if body_lines(function) > MOST_FUNCTION_LINES
    ]
    assert guilty == []


def test_functions_have_few_parameters():
    guilty = [
        f"{relative(path)}: {function.name}"
        for path in MODULES
        for function in functions(tree_of(path))
        if num_parameters(function) > MOST_PARAMETERS and not ("cli" in path.parts and is_command(function))
    ]
    assert guilty == []


def num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters of a function, the object itself left out."""
    arguments = function.args
    is_bound = bool(arguments.args) and arguments.args[0].arg in ("self", "cls")
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) - is_bound


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command of the command line has a parameter for each of its options."""
    return any("app.command" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_no_function_passes_unnamed_settings_on():
    """Except where methods of a library are overridden that are declared that way."""
    guilty = [
        f"{relative(path)}: {function.name}"
        for path in MODULES
        if path not in LIBRARY_ADAPTERS
        for function in functions(tree_of(path))
        if function.args.kwarg is not None
    ]
    assert guilty == []


def test_code_is_ascii_and_finished():
    unfinished = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "tests" in path.parts or text.isascii(), relative(path)
        assert [word for word in unfinished if word in text] == [], relative(path)


def test_nothing_unpickles():
    guilty = [
        f"{relative(path)}: {line.strip()}"
        for path in MODULES
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(word in line for word in PICKLES)
    ]
    assert guilty == []


def private_uses(path: Path) -> list[str]:
    """Uses of private names of Ray and Optuna in a module: imports, attributes, and names in texts."""
    text = path.read_text(encoding="utf-8")
    if not re.search(r"\b(?:ray|optuna)\b", text):
        return []
    found = re.findall(r"\b(?:ray|optuna)(?:\.\w+)*\._[a-z]\w*", text)
    nodes = list(ast.walk(tree_of(path)))
    imports = [
        node for node in nodes if isinstance(node, ast.ImportFrom) and is_of_a_searching_library(node.module)
    ]
    found += [alias.name for node in imports for alias in node.names if alias.name.startswith("_")]
    named = (alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    if imports or any(map(is_of_a_searching_library, named)):
        found += [
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute)
            and re.match("_[a-z]", node.attr)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "_compat"))
        ]
    return found


def is_of_a_searching_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in ("ray", "optuna")


def test_private_parts_of_ray_and_optuna_are_used_in_one_module_each():
    users = {path for path in MODULES if private_uses(path)}
    assert users == {
        PACKAGE / "engine" / "backends" / "ray" / "_compat.py",
        PACKAGE / "engine" / "searcher" / "_compat.py",
    }


def test_layers_are_respected():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout


def test_examples_in_docstrings_are_run():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert "--doctest-modules" in options["addopts"]
    assert "mbo_search" in options["testpaths"]
