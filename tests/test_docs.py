"""Proves that the pages do not go stale: generated files, links, and that every key of a study is explained."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.study.files.study_file import load_study, parse_study
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.running import ResourcesSpec, StoreSpec
from mbo_search.study.spec.sections.searching import ConfirmSpec, SearchSpec
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.study import StudySpec

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "studies").glob("*.md")])
SPECS = [
    BudgetSpec,
    ConfirmSpec,
    DataSpec,
    EvaluationSpec,
    GenerateSpec,
    ModelSpec,
    ResourcesSpec,
    SearchSpec,
    StageSpace,
    StoreSpec,
    StudySpec,
    TokenizerSpec,
    TrainSpec,
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_files_are_current():
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_key_of_a_study_file_is_explained(spec):
    text = (ROOT / "docs" / "study-files.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert set(spec.model_fields) - words == set()


def test_the_study_that_is_explained_line_by_line_is_the_quickstart():
    page = (ROOT / "docs" / "study-files.md").read_text(encoding="utf-8")
    block = re.search(r"## An example.*?```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert block is not None
    assert parse_study(block[1], "study-files.md") == load_study(ROOT / "studies" / "quickstart.yaml")


SAMPLES = sorted((ROOT / "reports" / "samples").glob("*.html"))


def test_there_are_sample_pages():
    assert {page.stem for page in SAMPLES} == {
        "quickstart",
        "scarce-docs-16-small",
        "switching-docs-64",
        "three-stage-full",
    }


@pytest.mark.parametrize("page", SAMPLES, ids=relative)
def test_sample_pages_are_of_this_version_and_of_today_s_ranking(page):
    head = page.read_text(encoding="utf-8")[:20_000]
    told = dict(re.findall(r'<meta name="(generator|mbo-search-ranking)" content="([^"]*)">', head))
    schema = Ranking.model_fields["schema_version"].default
    assert told == {"generator": f"mbo-search {version('mbo-search')}", "mbo-search-ranking": schema}


def test_the_walk_through_names_modules_that_exist():
    page = (ROOT / "docs" / "walk-through.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(mbo_search/[\w/]+(?:\.py|/))`", page))
    assert len(named) > 30
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
