"""Proves that `list`, `doctor`, `init`, `--version` and `--help` answer truthfully, quickly, and in every form."""

from __future__ import annotations

import resource

import pytest

from mbo_search import __version__
from mbo_search.data.readers import FILE_READERS
from mbo_search.export.exporters import EXPORTERS
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.searchers import SEARCHERS

CATALOGUE = {
    "optimizers": OPTIMIZERS,
    "lr_shapes": LR_SHAPES,
    "regularizers": REGULARIZERS,
    "searchers": SEARCHERS,
    "corpora": CORPORA,
    "readers": FILE_READERS,
    "exporters": EXPORTERS,
}


def test_help_takes_less_than_half_a_second(mbo_process):
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert mbo_process("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5, "CPU time; a busy machine would blur the clock"


def test_help_lists_every_command(mbo):
    out = mbo("--help").out
    commands = [
        "init",
        "validate",
        "plan",
        "run",
        "resume",
        "rank",
        "report",
        "export",
        "replay",
        "train",
        "sample",
    ]
    assert [name for name in [*commands, "list", "doctor"] if f"\n  {name} " not in out] == []


def test_the_version_is_the_package_s(mbo):
    assert mbo("--version").out == f"mbo-search {__version__}\n"


def test_no_command_shows_the_help_which_is_no_error(mbo):
    ended = mbo()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == mbo("--help").out == mbo("-h").out
    assert "Commands:" in ended.out


@pytest.mark.parametrize("kind", CATALOGUE)
def test_list_names_every_entry_in_every_form(kind, mbo):
    names = sorted(CATALOGUE[kind])
    text = mbo("list", kind).out
    assert [name for name in names if name not in text] == []
    assert mbo("list", kind, "--quiet").out.split() == names
    document = mbo("list", kind, "--json").json()
    assert document["schema"] == "mbo-search/catalogue/1"
    assert sorted(document["entries"]) == names


def test_listed_optimizers_have_their_reference_and_paper(mbo):
    entry = mbo("list", "optimizers", "--json").json()["entries"]["adamw"]
    assert entry["reference_lr"] == OPTIMIZERS["adamw"].reference_lr
    assert "1711.05101" in entry["paper"]
    assert entry["hparams"]["beta2"]["low"] < entry["hparams"]["beta2"]["high"]


def test_an_unknown_kind_has_code_2_and_names_the_kinds(mbo):
    ended = mbo("list", "schedulers")
    assert ended.code == 2
    assert "lr_shapes" in ended.err


def test_doctor_finds_this_machine_fit(mbo, tmp_path):
    document = mbo("doctor", "--out", tmp_path / "not" / "there", "--json").json()
    assert document["schema"] == "mbo-search/doctor/1"
    assert document["ok"] is True
    assert document["versions"]["mbo-search"] == __version__
    assert {check["name"] for check in document["checks"]} == {"python", "packages", "cpu", "gpus", "disk", "cache"}


@pytest.mark.ray
def test_doctor_starts_ray(mbo_process):
    document = mbo_process("doctor", "--ray", "--json").json()
    ray = next(check for check in document["checks"] if check["name"] == "ray")
    assert ray["ok"], ray


def test_doctor_speaks_to_people(mbo, tmp_path):
    ended = mbo("doctor", "--out", tmp_path)
    assert ended.code == 0
    assert "cores" in ended.out
    assert mbo("doctor", "--quiet").out == "ok\n"


def test_init_writes_a_file_and_never_over_another(mbo, tmp_path):
    file = tmp_path / "My study!.yaml"
    assert mbo("init", file).code == 0
    assert "study: My-study\n" in file.read_text().replace(" " * 8, "\n")
    before = file.read_text()
    refused = mbo("init", file)
    assert refused.code == 2
    assert "exists already" in refused.err
    file.write_text("mine")
    assert mbo("init", file, "--force").code == 0
    assert file.read_text() == before


def test_init_says_why_a_file_cannot_be_written(mbo, tmp_path):
    ended = mbo("init", tmp_path / "missing" / "study.yaml", "--json")
    assert ended.code == 2
    assert "cannot be written" in ended.json()["problems"][0]["rule"]
