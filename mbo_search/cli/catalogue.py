"""`list`: what a study may name, with ranges, reference learning rates and papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from mbo_search.api.tables import table
from mbo_search.cli.console import CommandResult
from mbo_search.cli.options import Kind
from mbo_search.errors import command_line
from mbo_search.extensions import BUILT_IN, Registry
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.metrics import METRICS, NEEDS
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.searchers import SEARCHERS
from mbo_search.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.study.catalogue.entries import Hparam

_CODE = frozenset(
    {"implementation", "factor", "imitated", "make", "read", "rows", "export", "info", "draw", "missing", "write"}
)
"""Attributes of definitions that hold code."""


def list_catalogue(kind: Kind) -> CommandResult:
    """List one kind of names."""
    entries = _entries(kind)
    return CommandResult(
        schema="mbo-search/catalogue/1",
        document={"kind": kind, "entries": {name: _document(entries, name) for name in entries}},
        text=[_TABLES[kind]()],
        next=f"name them in a study file of your own: {command_line('init')}",
        brief=" ".join(sorted(entries)),
    )


def _entries(kind: Kind) -> Mapping[str, Any]:
    """Return the entries of a kind; the modules of readers, formats and figures are loaded only when asked for."""
    if kind not in _LATE:
        return _ENTRIES[kind]
    module, name = _LATE[kind]
    entries: Mapping[str, Any] = getattr(import_module(module), name)
    return entries


_ENTRIES: Mapping[Kind, Mapping[str, Any]] = MappingProxyType(
    {
        "optimizers": OPTIMIZERS,
        "lr_shapes": LR_SHAPES,
        "regularizers": REGULARIZERS,
        "searchers": SEARCHERS,
        "corpora": CORPORA,
        "metrics": METRICS,
    }
)

_LATE: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        "readers": ("mbo_search.data.readers", "FILE_READERS"),
        "exporters": ("mbo_search.export.exporters", "EXPORTERS"),
        "figures": ("mbo_search.report.figures.registry", "FIGURES"),
        "loggers": ("mbo_search.export.loggers.registry", "LOGGERS"),
    }
)


def _document(entries: Mapping[str, Any], name: str) -> object:
    info = entries[name]
    values = {field.name: getattr(info, field.name) for field in fields(info) if field.name not in _CODE}
    return to_jsonable_python({**values, "origin": _origin(entries, name)}, fallback=dict)


def _origin(entries: Mapping[str, Any], name: str) -> str:
    return entries.origin(name) if isinstance(entries, Registry) else BUILT_IN


def _optimizers() -> RenderableType:
    rows = [
        (
            name,
            f"{info.reference_lr:g}",
            f"{info.lr_low:g} .. {info.lr_high:g}",
            f"{info.width_exponent:g}",
            _settings(info.hparams),
            f"{info.state_floats:g}",
            info.paper,
            OPTIMIZERS.origin(name),
        )
        for name, info in sorted(OPTIMIZERS.items())
    ]
    header = ["optimizer", "reference lr", "lr range", "power", "settings (default)", "state", "paper", "from"]
    warnings = (
        f" On pretrained weights {name} {info.pretrained_warning}."
        for name, info in sorted(OPTIMIZERS.items())
        if info.pretrained_warning
    )
    note = "Learning rates at width 256; others scale by (256 / width) ** power. State: floats per parameter."
    note += "".join(warnings)
    return table(header, rows, caption=note)


def _lr_shapes() -> RenderableType:
    rows = [
        (
            name,
            info.summary,
            _settings(info.hparams),
            "yes" if info.anneals else "no",
            info.paper,
            LR_SHAPES.origin(name),
        )
        for name, info in sorted(LR_SHAPES.items())
    ]
    header = ["lr_shape", "what it does", "settings (default)", "may end a schedule", "paper", "from"]
    return table(header, rows)


def _regularizers() -> RenderableType:
    rows = [
        (
            name,
            info.summary,
            f"{info.search_low:g} .. {info.search_high:g}{' log' if info.log else ''}",
            f"{info.low:g} .. {info.high:g}",
            info.paper,
            REGULARIZERS.origin(name),
        )
        for name, info in sorted(REGULARIZERS.items())
    ]
    return table(["regularizer", "its number", "sensible", "allowed", "paper", "from"], rows)


def _corpora() -> RenderableType:
    rows = [
        (
            name,
            info.summary,
            f"about {format_count(info.num_bytes)}B",
            ", ".join(info.columns) or "-",
            info.needs or "nothing",
            info.license,
        )
        for name, info in sorted(CORPORA.items())
    ]
    return table(["corpus", "text", "size", "columns", "needs", "license"], rows)


def _metrics() -> RenderableType:
    rows = [
        (name, info.summary, f"{info.low:g} .. {info.high:g}", info.direction, NEEDS[info.needs], info.paper)
        for name, info in sorted(METRICS.items())
    ]
    return table(["metric", "what it says", "range", "better", "model is asked for", "paper"], rows)


def _searchers() -> RenderableType:
    rows = [(name, info.summary, info.paper, SEARCHERS.origin(name)) for name, info in sorted(SEARCHERS.items())]
    return table(["searcher", "how it proposes schedules", "paper", "from"], rows)


def _readers() -> RenderableType:
    from mbo_search.data.readers import FILE_READERS

    rows = [
        (name, " ".join(info.suffixes), info.summary, FILE_READERS.origin(name))
        for name, info in sorted(FILE_READERS.items())
    ]
    return table(["reader", "files", "documents", "from"], rows)


def _exporters() -> RenderableType:
    from mbo_search.export.exporters import EXPORTERS

    rows = [(name, info.summary, EXPORTERS.origin(name)) for name, info in sorted(EXPORTERS.items())]
    return table(["format", "what it is", "from"], rows)


def _figures() -> RenderableType:
    from mbo_search.report.figures.registry import FIGURES
    from mbo_search.report.style.i18n import load_strings

    text = load_strings("en")
    rows = [(name, FIGURES[name].words_in(text).title, FIGURES.origin(name)) for name in FIGURES]
    return table(["figure", "what it shows", "from"], rows)


def _loggers() -> RenderableType:
    from mbo_search.export.loggers.registry import LOGGERS

    rows = [(name, info.summary, info.install, LOGGERS.origin(name)) for name, info in sorted(LOGGERS.items())]
    return table(["logger", "what it writes", "how to install it", "from"], rows)


_TABLES: Mapping[Kind, Callable[[], RenderableType]] = MappingProxyType(
    {
        "optimizers": _optimizers,
        "lr_shapes": _lr_shapes,
        "regularizers": _regularizers,
        "searchers": _searchers,
        "corpora": _corpora,
        "metrics": _metrics,
        "readers": _readers,
        "exporters": _exporters,
        "figures": _figures,
        "loggers": _loggers,
    }
)


def _settings(hparams: Mapping[str, Hparam]) -> str:
    return ", ".join(f"{name} ({_default(hparam.default)})" for name, hparam in hparams.items()) or "none"


def _default(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
