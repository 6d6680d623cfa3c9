"""What is written as YAML reads back equal, by our reader and by readers of YAML 1.1."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.files.yaml_document import read_document
from mbo_search.study.files.yaml_dump import dump_yaml

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**12), 10**12),
    st.sampled_from(["yes", "No", "on", "off", "y", "null", "1e5", "3e-05", "1_000", "12:30", "0x1f", "plain", ""]),
    st.booleans(),
    st.none(),
)


@given(st.dictionaries(st.sampled_from("abcdef"), st.one_of(VALUES, st.lists(VALUES, max_size=4)), min_size=1))
def test_every_reader_reads_the_same(value):
    text = dump_yaml(value)
    assert yaml.safe_load(text) == value
    assert read_document(text, "written").value == value


@pytest.mark.parametrize(
    ("number", "text"), [(3e-05, "3.0e-05"), (1e22, "1.0e+22"), (0.003, "0.003"), (1.5e-7, "1.5e-07")]
)
def test_floats_have_a_point(number, text):
    assert dump_yaml({"lr": number}) == f"lr: {text}\n"
