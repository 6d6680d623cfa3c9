"""Proves that the current directory is not code, and that children run what their parent runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mbo_search.system import same_code
from mbo_search.system.same_code import code_here, forget_current_folder, leading_entries, python_path
from tests.cli.tiny import write_study

LIBRARY = str(Path(os.__file__).parent)
ROOT = Path(__file__).parents[2]


def test_the_current_folder_is_forgotten_in_every_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    path = ["", str(tmp_path), str(tmp_path / "link"), "/mine", LIBRARY, "/site"]
    forget_current_folder(path, "")
    assert path == ["/mine", LIBRARY, "/site"]


def test_a_folder_that_the_user_named_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = [str(tmp_path), LIBRARY]
    forget_current_folder(path, f"{tmp_path}{os.pathsep}/mine")
    assert path == [str(tmp_path), LIBRARY]
    forget_current_folder(path, f"{os.pathsep}/mine")
    assert path == [LIBRARY], "an empty piece names nothing"


def test_an_installed_package_in_the_current_folder_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ["/mine", LIBRARY, str(tmp_path)]
    forget_current_folder(path, "")
    assert path == ["/mine", LIBRARY, str(tmp_path)], "an editable installation adds it at the end"


def test_what_comes_before_the_library_is_the_users():
    assert leading_entries(["/a", "/b", f"{LIBRARY}.zip", LIBRARY, "/site"]) == ["/a", "/b"]


def test_a_child_finds_the_modules_of_its_parent_in_the_same_order(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"NAME = {name!r}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second"), *sys.path])
    child = [sys.executable, "-P", "-c", "import mine; print(mine.NAME)"]
    done = subprocess.run(
        child, env={"PYTHONPATH": python_path()}, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "first"


def test_the_fingerprint_is_of_names_and_contents(tmp_path, monkeypatch):
    monkeypatch.setattr(same_code, "_PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("1", encoding="utf-8")
    first = code_here()
    assert first == code_here()
    (tmp_path / "a.py").write_text("2", encoding="utf-8")
    assert code_here().fingerprint != first.fingerprint
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    (tmp_path / "b.py").write_text("1", encoding="utf-8")
    assert code_here().fingerprint != first.fingerprint


def test_a_file_with_the_name_of_a_library_is_not_run_by_a_command(tmp_path):
    write_study(tmp_path, tokens=2560, trials=3, first="adamw", control=0)
    for name in ("numpy", "tokenizers", "yaml", "ruamel", "rich", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file was run')", encoding="utf-8")
    program = "import sys; sys.argv[0] = 'mbo-search'; from mbo_search.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "plan", "study.yaml", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f":{ROOT}", "MBO_SEARCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
