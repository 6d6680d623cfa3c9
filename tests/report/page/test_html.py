"""Proves that no value can break out of the script element that it is embedded in, and that the policy fits."""

from __future__ import annotations

import base64
import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from mbo_search.report.page.html import content_policy, embedded_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_embedded_values_come_back_unchanged(value):
    assert json.loads(embedded_json(value)) == value


@given(st.text())
def test_embedded_values_hold_nothing_that_html_would_act_on(text):
    embedded = embedded_json({text: f"</script><!--{text}--><script>&amp;"})
    assert not set("<>&") & set(embedded)
    assert embedded.isascii()


def test_policy_allows_the_given_scripts_and_nothing_from_outside():
    script = "let a = 1;"
    policy = dict(rule.split(" ", 1) for rule in content_policy([script]).split("; "))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert not any("http" in sources or "*" in sources for sources in policy.values())
