"""Print the lowest versions that pyproject.toml allows, as constraints for pip; fail if its torch is not for CPUs.

The oldest-versions test runs on machines without a GPU, where a CUDA build of torch costs gigabytes for nothing. So
pip is asked first what it would install.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["lowest_versions", "needs_cuda"]

ROOT = Path(__file__).resolve().parents[1]
RANGE = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9.]+)")


def lowest_versions(requirements: Iterable[str]) -> dict[str, str]:
    """Read the lower ends of version ranges.

    Args:
        requirements: Requirements such as `ray[tune]>=2.52,<3`; those without a lower end are left out.

    Returns:
        The lowest version by name.
    """
    matches = (RANGE.match(requirement) for requirement in requirements)
    return {match[1]: match[2] for match in matches if match}


def needs_cuda(report: Mapping[str, Any]) -> bool:
    """Say whether a package that pip would install brings CUDA libraries.

    Args:
        report: What `pip install --dry-run --report -` printed.

    Returns:
        True if any package requires one of the libraries of a GPU.
    """
    required = (name for item in report["install"] for name in item["metadata"].get("requires_dist", ()))
    return any(re.match(r"(nvidia|cuda)-", name) for name in required)


def main(arguments: Sequence[str]) -> int:
    """Print the constraints, or say on stderr why there are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", help="this version in place of the lowest")
    parser.add_argument("--index-url", help="where to look for torch")
    options = parser.parse_args(arguments)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    beside = [name for name in extras["test"] if name.startswith("transformers")]
    oldest = lowest_versions([*project["dependencies"], *extras["storage"], *extras["figures"], *beside])
    oldest["torch"] = options.torch or oldest["torch"]
    problem = _torch_problem(oldest["torch"], options.index_url)
    if problem:
        print(f"skipped: {problem}", file=sys.stderr)
        return 1
    print("\n".join(f"{name}=={version}" for name, version in sorted(oldest.items())))
    return 0


def _torch_problem(version: str, index_url: str | None) -> str | None:
    index = ["--index-url", index_url] if index_url else []
    dry_run = ["--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *dry_run, *index, f"torch=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"pip finds no torch {version} for this Python"
    return f"pip has torch {version} only as a CUDA build" if needs_cuda(json.loads(done.stdout)) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
