"""Proves that colors can be told apart by everybody, that text can be read on them, and that both themes agree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mbo_search.report.style.palette import (
    DARK,
    LIGHT,
    NUM_LINE_COLORS,
    OPTIMIZER_CYCLE,
    RUNG_DASHES,
    RUNG_SYMBOLS,
    resolve,
)
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.rungs import RUNGS

# Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
THEMES = {"light": LIGHT, "dark": DARK}


def linear(color: str) -> np.ndarray:
    channels = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    to_cone = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(to_cone @ np.clip(rgb, 0, 1))


def contrast(first: str, second: str) -> float:
    bright, dim = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (first, second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
def test_optimizers_differ_for_every_kind_of_eye(theme, vision):
    colors = {name: oklab(VISIONS[vision] @ linear(THEMES[theme][f"opt-{name}"])) for name in OPTIMIZER_CYCLE}
    nearest = min(
        (float(np.linalg.norm(colors[a] - colors[b])), a, b) for a, b in itertools.combinations(colors, 2)
    )
    assert nearest[0] >= 0.12, nearest


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("paper", ["page", "surface", "raised"])
@pytest.mark.parametrize("ink", ["ink", "soft", "faint", "accent"])
def test_text_can_be_read(theme, paper, ink):
    assert contrast(THEMES[theme][ink], THEMES[theme][paper]) >= 4.5


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
def test_rungs_differ_for_every_kind_of_eye(theme, vision):
    colors = {rung: oklab(VISIONS[vision] @ linear(THEMES[theme][f"rung-{rung}"])) for rung in RUNGS}
    nearest = min(
        (float(np.linalg.norm(colors[a] - colors[b])), a, b) for a, b in itertools.combinations(colors, 2)
    )
    assert nearest[0] >= 0.11, nearest


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("rung", RUNGS)
def test_marks_of_rungs_stand_out_from_the_paper(theme, rung):
    assert contrast(THEMES[theme][f"rung-{rung}"], THEMES[theme]["surface"]) >= 3.0


def test_rungs_differ_without_color():
    for signs in (RUNG_SYMBOLS, RUNG_DASHES):
        assert list(signs) == list(RUNGS)
        assert len(set(signs.values())) == len(RUNGS)


LINES = [name for name in LIGHT if name.startswith(("opt-", "line-", "scale-"))]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", LINES)
def test_lines_stand_out_from_the_paper(theme, name):
    colors = THEMES[theme]
    assert contrast(colors[name], colors["surface"]) >= 3.0


@pytest.mark.parametrize("theme", THEMES)
def test_schedules_can_be_told_apart(theme):
    colors = [oklab(linear(THEMES[theme][f"line-{index}"])) for index in range(NUM_LINE_COLORS)]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(colors, 2)) >= 0.11


@pytest.mark.parametrize("theme", THEMES)
def test_a_scale_grows_lighter_step_by_step(theme):
    lightness = [float(oklab(linear(THEMES[theme][f"scale-{step}"]))[0]) for step in range(5)]
    assert all(b - a > 0.04 for a, b in itertools.pairwise(lightness))


def test_both_themes_name_the_same_colors():
    assert list(LIGHT) == list(DARK)


def test_only_optimizers_of_the_catalogue_have_a_color_of_their_own():
    assert set(OPTIMIZER_CYCLE) <= set(OPTIMIZERS)


def test_unknown_names_stay_as_they_are():
    assert resolve(["var(--no-such-color)", None, 1.5], LIGHT) == ["var(--no-such-color)", None, 1.5]
