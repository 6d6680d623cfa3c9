"""Proves that of wikitext what a reader sees is kept, and what is beside or around the text is not."""

from __future__ import annotations

import sys

import pytest

from mbo_search.data.files.wikitext import plain_text, wikitext_parser
from mbo_search.errors import DataError


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Bold''' and ''italic''", "Bold and italic"),
        ("[[Vessel]]s, [[vessel|a vessel]], [[:de:Schiff|German]]", "Vessels, a vessel, German"),
        ("A{{cite|[[x]]}} B<ref name='a'>Note {{x}}</ref> C<ref name='a' />", "A B C"),
        ("[[File:a.jpg|thumb|A [[ship]] at sea]]Text", "Text"),
        ("[[ image:a.jpg]]Text[[Category:Ships]][[de:Schiff]][[zh-yue:X]]", "Text"),
        ("[https://x.org the page] [https://x.org] https://y.org", "the page  https://y.org"),
        ("A&nbsp;B &mdash; &#228; &lt;", "A\u00a0B \u2014 \u00e4 <"),
        ("One<br />two<!-- hidden -->", "One\ntwo"),
        ("== History ==\nText\n=== ''Early'' ===", "History\nText\nEarly"),
        ("* one\n* two\n# three\n: in", "one\ntwo\nthree\nin"),
        ("A\n{| class='wikitable'\n! a !! b\n|-\n| 1 || 2\n|}\nB", "A\n\nB"),
        ("A\n<gallery>\nFile:x.jpg|cap\n</gallery>\n\n\n\nB", "A\n\nB"),
        ("Euler: <math>e^x</math>!", "Euler: !"),
        ("<nowiki>[[not a link]]</nowiki>", "[[not a link]]"),
        ("__NOTOC__Text", "Text"),
        ("<syntaxhighlight lang='python'>\nif x:\n    y()\n</syntaxhighlight>", "if x:\n   y()"),
        ("{{unclosed [[link", "{{unclosed [[link"),
        ("&#x110000000;x", "&#x110000000;x"),
    ],
)
def test_what_a_reader_sees_stays(wikitext, text):
    assert plain_text(wikitext) == text


def test_a_wiki_names_its_namespaces_in_its_own_language():
    wikitext = "[[Datei:a.jpg|mini|Ein Schiff]][[Kategorie:Schiffe]]Text"
    assert plain_text(wikitext, {"datei", "kategorie"}) == "Text"
    assert plain_text(wikitext) != "Text"


def test_many_footnotes_cost_time_in_proportion():
    assert plain_text("word<ref>a [[b]] {{c}}</ref> " * 5000).split() == ["word"] * 5000


def test_a_missing_library_comes_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(DataError, match=r"needs the package `mwparserfromhell` \(install it with `pip install"):
        wikitext_parser()
