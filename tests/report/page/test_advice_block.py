"""Proves that a report says what its trials say about the next study, and does not keep large ones waiting."""

from __future__ import annotations

from mbo_search.report.page import advice_block as room
from mbo_search.report.page.advice_block import advice_block
from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import load_strings
from mbo_search.testing.runs import build_run


def test_changes_and_remarks_are_shown_in_the_language_of_the_page(tmp_path, monkeypatch):
    source = read_source(build_run(tmp_path / "run", num_trials=48, num_stages=2, confirm_seeds=6))
    block = advice_block(source, load_strings("zh"))
    assert block.changes[0].key.startswith("stages.")
    assert "个方案中有" in block.changes[0].reasons[0]
    assert len(block.remarks) >= 4

    monkeypatch.setattr(room, "MOST_TRIALS", 10)
    large = advice_block(source, load_strings("en"))
    assert large.changes == ()
    assert f"mbo-search advise {tmp_path / 'run'}" in large.remarks[0]
