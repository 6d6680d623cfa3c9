"""Context of every page: its words, the version and date in its footer, and figures ready for the template."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from mbo_search.report.figures.figure import FigureBlock
from mbo_search.report.page.html import embedded_json
from mbo_search.report.style.i18n import Strings
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.study.spec.rungs import RUNGS


def page_context(text: Strings) -> dict[str, object]:
    """The values that every template needs."""
    return {
        "text": {"language": text.language, **text.groups},
        "words": _script_words(text),
        "version": _package_version(),
        "ranking_schema": Ranking.model_fields["schema_version"].default,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _script_words(text: Strings) -> dict[str, str]:
    names, labels = text["names"], text["labels"]
    own = {key: names[key] for key in (*RUNGS, "nats", "learning_rate", "perplexity")}
    return {**text["script"], **own, **{key: labels[key] for key in ("search", "search_hint", "kind", "csv")}}


def shown_block(block: FigureBlock, *, drawn_by_script: bool = False) -> dict[str, object]:
    """A figure as the templates read it; of one that the page's script draws, only what is no schedule's own."""
    figure = block.figure
    spec = None if figure is None else json.loads(figure.to_json())
    if spec is not None and drawn_by_script:
        spec["data"] = [trace for trace in spec["data"] if _is_everybodys(trace.get("meta") or {})]
        spec["layout"].pop("annotations", None)
    return {
        "key": block.key,
        "title": block.title,
        "lead": block.lead,
        "missing": block.missing,
        "notes": block.notes,
        "data": block.data,
        "controls": block.controls,
        "figure_json": None if spec is None else embedded_json(spec),
        "height": figure.layout.height if figure is not None else 0,
    }


def _is_everybodys(meta: Mapping[str, object]) -> bool:
    return meta.get("shared") is True


def _package_version() -> str:
    try:
        return version("mbo-search")
    except PackageNotFoundError:
        return "0"
