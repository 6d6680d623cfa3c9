"""Proves that the ladder's picture shows what was found: each gain with its interval, and which ones are sure."""

from __future__ import annotations

import pytest

from mbo_search.report.figures.ladder import draw_ladder, ladder_info
from mbo_search.report.figures.repeats import draw_repeats, repeats_info
from mbo_search.report.style.i18n import LANGUAGES, load_strings
from mbo_search.results.evidence.differences import difference_of_nats
from mbo_search.results.evidence.ranking_values import LadderRung, SearchRepeats

LADDER = (
    LadderRung(name="untuned", champion_trial=0, best_needing=3.5, perplexity=33.1, executed_tokens=4000, trials=1),
    LadderRung(
        name="tuned",
        champion_trial=1,
        best_needing=3.4,
        gain=difference_of_nats(0.1, 0.05, 0.15, 0.99),
        gain_over=0,
        executed_tokens=90_000,
        trials=9,
        dimensions=5,
    ),
    LadderRung(
        name="switch", champion_trial=2, best_needing=3.41, gain=difference_of_nats(-0.01, -0.03, 0.01, 0.99)
    ),
    LadderRung(name="settings"),
)


def drawn(language="en"):
    text = load_strings(language)
    info = ladder_info(LADDER, 0.5)
    assert info is not None
    return draw_ladder(info, names=text["names"], words=text["ladder"])


def markers(figure):
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_gains_lie_right_of_zero_where_the_rung_is_better():
    better, worse = markers(drawn())
    assert better.x[0] == pytest.approx(100 * (1 - 2.718281828**-0.1), rel=1e-4)
    assert worse.x[0] < 0
    lines = [trace for trace in drawn().data if trace.mode == "lines"]
    assert all(line.x[0] < mark.x[0] < line.x[1] for line, mark in zip(lines, markers(drawn()), strict=True))


def test_only_an_interval_without_zero_is_filled():
    info = ladder_info(LADDER, 0.5)
    assert info is not None
    assert [lane.is_sure for lane in info.lanes] == [False, True, False, False]
    assert [mark.marker.symbol for mark in markers(drawn())] == ["diamond", "circle-open"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lane_says_what_looking_for_it_took(language):
    text = load_strings(language)
    written = " ".join(note.text for note in drawn(language).layout.annotations)
    assert all(text["names"][row.name] in written for row in LADDER)
    assert text["ladder"]["nothing"] in written
    assert "90k" in written
    assert "33.12" in written


def test_the_whole_of_every_interval_is_in_view():
    low, high = drawn().layout.xaxis.range
    ends = [end for trace in drawn().data for end in trace.x]
    assert low < min(0, *ends)
    assert high > max(0.5, *ends)


def test_without_two_rungs_there_is_no_ladder():
    assert ladder_info(LADDER[:1], 0.5) is None
    assert ladder_info((), 0.5) is None


def test_a_gain_of_one_seed_has_no_interval():
    info = ladder_info((LADDER[0], LADDER[1].model_copy(update={"gain": difference_of_nats(0.1)})), 0.5)
    assert info is not None
    text = load_strings("en")
    figure = draw_ladder(info, names=text["names"], words=text["ladder"])
    assert [trace.mode for trace in figure.data] == ["markers"]
    assert figure.data[0].marker.symbol == "diamond-open"


def test_repeats_show_every_search_and_their_mean():
    repeats = SearchRepeats(searches=2, planned=2, gains_nats=(0.01, -0.01), sentence="-")
    info = repeats_info(repeats)
    assert info is not None
    assert info.gains_percent == pytest.approx((0.995, -1.005), abs=1e-3)
    words = load_strings("en")["repeats"]
    assert len(draw_repeats(info, words=words).data) == 1
    told = repeats_info(repeats.model_copy(update={"gain": difference_of_nats(0.0, -0.1, 0.1, 0.95)}))
    assert told is not None
    assert len(draw_repeats(told, words=words).data) == 3
    assert repeats_info(None) is None
    assert repeats_info(repeats.model_copy(update={"gains_nats": ()})) is None
