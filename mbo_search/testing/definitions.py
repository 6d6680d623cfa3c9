"""Checks of every definition: names, versions and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mbo_search.extensions import Extension
from mbo_search.study.catalogue.entries import Hparam

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_definition(definition: Extension, *, is_built_in: bool) -> None:
    """Check name, version and summary."""
    assert _NAME.fullmatch(definition.name), f"{definition.name!r} must be lower case letters, digits and _"
    assert definition.name not in ("mean", "auto"), f"{definition.name} is a reserved name"
    assert getattr(definition, "summary", ""), "needs a summary of one line"
    has_version = bool(getattr(definition, "version", ""))
    assert is_built_in or has_version, "needs a version: node keys depend on it"


def check_hparams(hparams: Mapping[str, Hparam]) -> None:
    """Check that defaults lie in their ranges."""
    for name, info in hparams.items():
        assert _NAME.fullmatch(name), f"setting {name!r} must be lower case letters, digits and _"
        if info.choices:
            assert info.default in info.choices, f"default of {name} is not one of its choices"
        else:
            assert isinstance(info.default, float | int), f"default of {name} must be a number"
            assert info.low is not None, f"{name} needs a range"
            assert info.high is not None, f"{name} needs a range"
            assert info.low <= info.default <= info.high, f"default of {name} lies outside its range"
            assert not info.whole or info.default == round(info.default), f"default of {name} must be whole"
