"""A figure outside of a page: on light paper, with what the page shows before anyone has chosen anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mbo_search.report.style.palette import LIGHT, resolve

WIDTH = 1080
"""Pixels for which captions are fitted."""

_CHARACTER_PIXELS = 6.3
_CAPTION_GAP_PIXELS = 12


def first_view(spec: dict[str, Any], controls: Mapping[str, str]) -> dict[str, Any]:
    """Resolve the colors of a figure, and leave out what waits for the reader's choice."""
    figure: Any = resolve(spec, LIGHT)
    most = int(controls["top"]) if "top" in controls else None
    traces = [trace for trace in figure["data"] if most is None or _is_shown(_meta(trace), most)]
    drawn = {meta.get("optimizer") for meta in map(_meta, traces) if meta.get("place", -1) >= 0}
    traces = [trace for trace in traces if most is None or _meta(trace).get("names") in {None, *drawn}]
    layout = figure["layout"]
    margin = layout.get("margin", {})
    room = WIDTH - margin.get("l", 0) - margin.get("r", 0)
    notes = [fitted for note in layout.get("annotations", ()) if (fitted := _fitted(note, room)) is not None]
    return {"data": traces, "layout": {**layout, "annotations": notes}}


def _meta(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    return trace.get("meta") or {}


def _is_shown(meta: Mapping[str, Any], most: int) -> bool:
    return bool(meta.get("place", -1) < (1 if meta.get("few") else most))


def _fitted(note: dict[str, Any], room: float) -> dict[str, Any] | None:
    """A caption that fits its bar, shortened if need be; None if not even the short one does."""
    kind, share, *short = (note.get("name") or "").split("|", 2) + [""] * 2
    if kind != "fit":
        return note
    for text in (note["text"], short[0]):
        if len(text) * _CHARACTER_PIXELS + _CAPTION_GAP_PIXELS <= float(share) * room:
            return {**note, "text": text}
    return None
