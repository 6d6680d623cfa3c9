"""Colors by meaning, for light and for dark paper, chosen so that color-blind readers can tell them apart.

Figures name a color by what it stands for (`var(--opt-muon)`); the page resolves the name against the theme in
force, so that one figure serves both. The optimizers' colors began as Paul Tol's "muted" scheme and were moved
apart until any two of them differ by at least 0.12 in OKLab for normal, protanopic, deuteranopic and tritanopic
eyes alike (Tol's come as near as 0.05), and until thin lines stand out: by 3:1 from dark paper, by 1.9:1 from light
paper, where nine colors leave no more. The rungs' colors were searched for in the same way, 0.11 apart and by 3:1
from either paper. A test keeps these bounds. Color is never the only sign: bars carry names, rungs carry marker
shapes and line styles, losses carry numbers.

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
        "opt-sgd_nesterov": "#b9bba1",
        "opt-adam": "#7dc0f9",
        "opt-adamw": "#3b0e85",
        "opt-nadamw": "#249eaf",
        "opt-lion": "#d76855",
        "opt-muon": "#2e6007",
        "opt-soap": "#5c143b",
        "opt-ademamix": "#805589",
        "opt-sf_adamw": "#e8a50e",
        "opt-other": "#8d897f",
        "seq-0": "#0b3c6f",
        "seq-1": "#2f6ea8",
        "seq-2": "#6ea2cc",
        "seq-3": "#b3cce0",
        "seq-4": "#e6e3da",
    }
)
"""Colors on light paper by meaning; `seq-0` is the best value of a scale, `seq-4` the worst."""

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
        "opt-sgd_nesterov": "#f3db2c",
        "opt-adam": "#b3eafb",
        "opt-adamw": "#895cdc",
        "opt-nadamw": "#20d79f",
        "opt-lion": "#d468a4",
        "opt-muon": "#267819",
        "opt-soap": "#a94087",
        "opt-ademamix": "#e28cfe",
        "opt-sf_adamw": "#95a704",
        "opt-other": "#8f8c84",
        "seq-0": "#cfe6ff",
        "seq-1": "#86b8ea",
        "seq-2": "#4d83b8",
        "seq-3": "#345778",
        "seq-4": "#2b333b",
    }
)
"""Colors on dark paper, by the same names."""

OPTIMIZER_CYCLE: tuple[str, ...] = tuple(
    name[4:] for name in LIGHT if name.startswith("opt-") and name != "opt-other"
)
"""The optimizers with a color of their own."""

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
