"""Proves that a study or schedule file of a stranger is read or refused with a StudyError, whatever it says."""

from __future__ import annotations

import json
import math
import resource
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.schedule_file import dump_schedule_file, parse_schedule_file
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.space import space_size, staged_space
from mbo_search.study.spec.segments import cut, resolve_budget
from tests.helpers.damage import changed_somewhere
from tests.study.files.test_schedule_file import FILE
from tests.study.studies import SMALL

MANY_BYTES = 128 * 2**20
FUZZ = settings(max_examples=30)

odd_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**30, -1, 0, 1e-300, 1e300, "1e999", "9" * 400, "400M", "../x", "/etc/passwd", "<b>", "\x7f"]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
odd = st.recursive(
    odd_values,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
ways = st.lists(st.integers(0, 30), min_size=1, max_size=6)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@FUZZ
@given(way=ways, value=odd)
def test_a_study_with_any_value_anywhere_is_a_study_or_a_study_error(way, value):
    mapping = json.loads(json.dumps(study_mapping(parse_study(SMALL, "small.yaml"))))
    text = json.dumps(changed_somewhere(mapping, way, value))
    before = peak_bytes()
    with suppress(StudyError):
        study = parse_study(text, "hostile.yaml")
        space = staged_space(study)
        assert space_size(space).combinations >= 1
        assert parse_study(dump_study(study), "again.yaml") == study
    assert peak_bytes() - before < MANY_BYTES


@FUZZ
@given(text=st.text(max_size=60) | st.text(alphabet="a:-[]{}&*!|>?\"'#%@\n \t0.,~", max_size=60))
def test_any_text_is_a_study_or_a_study_error(text):
    for parse in (parse_study, parse_schedule_file):
        with pytest.raises(StudyError):
            parse(text, "any.yaml")


SCHEDULE_FILE = json.loads(FILE.model_dump_json())


@FUZZ
@given(way=ways, value=odd)
def test_a_schedule_file_with_any_value_anywhere_is_one_or_a_study_error(way, value):
    text = json.dumps(changed_somewhere(SCHEDULE_FILE, way, value))
    before = peak_bytes()
    with suppress(StudyError):
        found = parse_schedule_file(text, "hostile.json")
        budget = found.study.budget
        segments = cut(found.schedule, resolve_budget(budget.tokens, budget.grid, found.study.train.batch_tokens))
        assert all(math.isfinite(segment.lr(segment.first_step)) for segment in segments)
        assert parse_schedule_file(dump_schedule_file(found), "again.yaml") == found
    assert peak_bytes() - before < MANY_BYTES


def test_an_endless_file_is_refused(tmp_path):
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    with pytest.raises(StudyError, match="is larger than"):
        read_text(tmp_path / "endless.yaml")
