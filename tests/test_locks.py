"""Proves that the locked packages are exact, free of hosts and builds, and satisfy what the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)")


def lines_of(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(name):
    found = {}
    for line in lines_of(name):
        if line == "-r requirements.lock":
            found |= pins("requirements.lock")
        else:
            match = PIN.fullmatch(line)
            assert match, line
            found[canonicalize_name(match[1])] = match[2]
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_line_pins_one_exact_version(name):
    assert len(pins(name)) > 30


def test_running_needs_are_locked_as_asked():
    locked = pins("requirements.lock")
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["corpora"]]:
        requirement = Requirement(text)
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_tools_of_tests_and_checks_are_locked_as_asked():
    locked = pins("requirements-dev.lock")
    for extra in ("test", "check", "docs"):
        for text in PROJECT["optional-dependencies"][extra]:
            requirement = Requirement(text)
            assert locked[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_torch_is_one_version_for_every_platform():
    assert pins("requirements.lock")["torch"] == "2.13.0"


def test_no_line_of_the_tools_repeats_the_running_needs():
    own = {line for line in lines_of("requirements-dev.lock") if not line.startswith("-r")}
    assert own.isdisjoint(lines_of("requirements.lock"))
