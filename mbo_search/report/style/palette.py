"""Colors by meaning, for light and for dark paper, chosen so that color-blind readers can tell them apart.

Figures name a color by what it stands for (`var(--opt-muon)`); the page resolves the name against the theme in
force, so that one figure serves both. The optimizers' colors began as Paul Tol's "muted" scheme and were moved
apart until any two of them differ by at least 0.12 in OKLab for normal, protanopic, deuteranopic and tritanopic
eyes alike (Tol's come as near as 0.05), and until thin lines stand out by 3:1 from either paper. The rungs' colors
were searched for in the same way, 0.11 apart, and so were the twelve of single schedules (`line-0` and on), which
normal eyes see 0.11 apart. A test keeps these bounds. Color is never the only sign: bars carry names, rungs carry
marker shapes and line styles, losses carry numbers.

References:
    Tol 2021, "Colour Schemes", SRON/EPS/TN/09-002, scheme "muted".
    Machado, Oliveira & Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.study.spec.rungs import Rung

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "page": "#f7f6f2",
        "surface": "#fffefb",
        "raised": "#f1efe8",
        "ink": "#1d1c1a",
        "soft": "#57544d",
        "faint": "#6f6b62",
        "line": "#e3dfd5",
        "grid": "#ebe8df",
        "accent": "#14589b",
        "accent-soft": "#e2ecf6",
        "warn": "#8a4b08",
        "warn-soft": "#fbeedb",
        "rung-untuned": "#73716b",
        "rung-tuned": "#523607",
        "rung-shape": "#47a447",
        "rung-settings": "#e04cdf",
        "rung-switch": "#14589b",
        "band": "#dcd8cc",
        "opt-sgd_nesterov": "#959488",
        "opt-adam": "#4568da",
        "opt-adamw": "#350087",
        "opt-nadamw": "#149dd9",
        "opt-lion": "#b35533",
        "opt-muon": "#4a4500",
        "opt-soap": "#57063b",
        "opt-ademamix": "#7f568a",
        "opt-sf_adamw": "#e37611",
        "opt-other": "#8d897f",
        "seq-0": "#0b3c6f",
        "seq-1": "#2f6ea8",
        "seq-2": "#6ea2cc",
        "seq-3": "#b3cce0",
        "seq-4": "#e6e3da",
        "line-0": "#0078cb",
        "line-1": "#ea5378",
        "line-2": "#338604",
        "line-3": "#7b5e96",
        "line-4": "#a87351",
        "line-5": "#a8465e",
        "line-6": "#b746b8",
        "line-7": "#2d5639",
        "line-8": "#669395",
        "line-9": "#3d2d99",
        "line-10": "#761658",
        "line-11": "#785a1f",
        "scale-0": "#2c1160",
        "scale-1": "#6a1c81",
        "scale-2": "#a8327d",
        "scale-3": "#d8456c",
        "scale-4": "#e2673a",
    }
)
"""Colors on light paper by meaning; `seq-0` is the best value of a scale, `seq-4` the worst.

`scale-0` to `scale-4` stand for the values of a setting, of which none is better than another.
"""

DARK: Mapping[str, str] = MappingProxyType(
    {
        "page": "#131518",
        "surface": "#1a1d21",
        "raised": "#23272c",
        "ink": "#eceae5",
        "soft": "#b9b7b0",
        "faint": "#98968f",
        "line": "#31363c",
        "grid": "#282c31",
        "accent": "#7db4ee",
        "accent-soft": "#1d2f42",
        "warn": "#f0b56b",
        "warn-soft": "#38290f",
        "rung-untuned": "#93918b",
        "rung-tuned": "#e9b31c",
        "rung-shape": "#a1f6e8",
        "rung-settings": "#b121c7",
        "rung-switch": "#7db4ee",
        "band": "#343a40",
        "opt-sgd_nesterov": "#fae820",
        "opt-adam": "#c0f1ff",
        "opt-adamw": "#8c5cdc",
        "opt-nadamw": "#16e5a1",
        "opt-lion": "#e175a4",
        "opt-muon": "#20861e",
        "opt-soap": "#b64f8c",
        "opt-ademamix": "#de97ff",
        "opt-sf_adamw": "#92a80c",
        "opt-other": "#8f8c84",
        "seq-0": "#cfe6ff",
        "seq-1": "#86b8ea",
        "seq-2": "#4d83b8",
        "seq-3": "#345778",
        "seq-4": "#2b333b",
        "line-0": "#5398d4",
        "line-1": "#ff7945",
        "line-2": "#6bc1c7",
        "line-3": "#b9bdf6",
        "line-4": "#ffb040",
        "line-5": "#afb979",
        "line-6": "#d467bc",
        "line-7": "#d5dd72",
        "line-8": "#43ede4",
        "line-9": "#c590ff",
        "line-10": "#ea4d6e",
        "line-11": "#a6999f",
        "scale-0": "#7a62d6",
        "scale-1": "#b25fd0",
        "scale-2": "#ec6d9a",
        "scale-3": "#fd9a6a",
        "scale-4": "#fde07a",
    }
)
"""Colors on dark paper, by the same names."""

OPTIMIZER_CYCLE: tuple[str, ...] = tuple(
    name[4:] for name in LIGHT if name.startswith("opt-") and name != "opt-other"
)
"""The optimizers with a color of their own."""

NUM_LINE_COLORS = sum(name.startswith("line-") for name in LIGHT)
"""Schedules that differ in color where they are drawn one by one; further ones begin again."""

RUNG_SYMBOLS: Mapping[Rung, str] = MappingProxyType(
    {"untuned": "square", "tuned": "diamond", "shape": "triangle-up", "settings": "hexagon", "switch": "circle"}
)
"""Marker of each rung of the ladder, so that rungs differ without color too."""

RUNG_DASHES: Mapping[Rung, str] = MappingProxyType(
    {"untuned": "dot", "tuned": "dash", "shape": "dashdot", "settings": "longdash", "switch": "solid"}
)
"""Line style of each rung."""


def optimizer_color(name: str) -> str:
    """The color of an optimizer; those without one of their own share a grey, their names tell them apart.

    >>> optimizer_color("muon"), optimizer_color("something_new")
    ('var(--opt-muon)', 'var(--opt-other)')
    """
    return f"var(--opt-{name})" if name in OPTIMIZER_CYCLE else "var(--opt-other)"


def rung_color(rung: Rung) -> str:
    """The color of a rung of the ladder."""
    return f"var(--rung-{rung})"


def sequence() -> list[tuple[float, str]]:
    """The scale from the best value (0) to the worst (1), as plotly reads it."""
    return [(index / 4, f"var(--seq-{index})") for index in range(5)]


def resolve(value: object, colors: Mapping[str, str]) -> object:
    """Replace every `var(--name)` in nested lists and dicts by a color.

    >>> resolve({"color": ["var(--ink)", 3]}, LIGHT)
    {'color': ['#1d1c1a', 3]}
    """
    if isinstance(value, dict):
        return {key: resolve(item, colors) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, colors) for item in value]
    if isinstance(value, str) and value.startswith("var(--"):
        return colors.get(value[6:-1], value)
    return value
