"""Checks the books of a span: what attempts told, and what a repeated one trained again."""

from __future__ import annotations

from contextlib import closing

import pytest

from mbo_search.train.foreign.attempts import REPORT_FILE, Attempts, read_lines
from mbo_search.train.foreign.request import SpanRequest, span_request
from mbo_search.train.foreign.result import ReportLine
from tests.helpers.foreign import small_path, small_setup


@pytest.fixture(scope="module")
def request_() -> SpanRequest:
    return span_request(small_path(small_setup()).segments[4:], key="k", seed=0, total_steps=40)


def tell(folder, request, *steps: int) -> Attempts:
    with closing(Attempts(folder, request)) as attempts:
        for step in steps:
            attempts.add(ReportLine(step=step, train_loss=1.0))
    return attempts


def test_a_first_attempt_owes_nothing(tmp_path, request_):
    attempts = tell(tmp_path, request_)
    assert (attempts.earlier_tokens, attempts.tokens, attempts.last_step) == (0, None, 16)


def test_an_earlier_attempt_counts_from_where_it_began(tmp_path, request_):
    tell(tmp_path, request_, 17, 18, 19)
    attempts = tell(tmp_path, request_, 19, 20)
    assert (attempts.earlier_tokens, attempts.tokens, attempts.last_step) == (300, 200, 20)
    assert [line.step for line in attempts.lines] == [17, 18, 19, 19, 20]


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b'{"step": 1}\nno json\n{"step": 2, "lr": 0.1}\n{"step": 3')
    assert [(line.step, line.others) for line in read_lines(file)] == [(1, {}), (2, {"lr": 0.1})]
    assert list(read_lines(tmp_path / "absent")) == []


def test_what_a_command_told_after_its_driver_was_killed_is_kept(tmp_path, request_):
    tell(tmp_path, request_, 17, 18)
    late = [ReportLine(step=step, train_loss=1.0).model_dump_json() for step in (17, 18, 19)]
    (tmp_path / REPORT_FILE).write_text("\n".join([*late, '{"step": 2']), encoding="utf-8")
    attempts = tell(tmp_path, request_, 20)
    assert [line.step for line in attempts.lines] == [17, 18, 19, 20]
    assert (attempts.earlier_tokens, attempts.tokens) == (300, 100)
    assert not (tmp_path / REPORT_FILE).exists()
