"""`list`: what a study may name, with ranges, reference learning rates and papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from pydantic_core import to_jsonable_python

from mbo_search.api.tables import table
from mbo_search.cli.console import CommandResult
from mbo_search.study.catalogue.lookup import CORPORA, LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.study.catalogue.entries import Hparam

Kind = Literal["optimizers", "lr_shapes", "regularizers", "corpora"]


def list_catalogue(kind: Kind) -> CommandResult:
    """List one kind of names."""
    entries = _ENTRIES[kind]
    return CommandResult(
        schema="mbo-search/catalogue/1",
        document={"kind": kind, "entries": to_jsonable_python(dict(entries), fallback=dict)},
        text=[_TABLES[kind]()],
        brief=" ".join(sorted(entries)),
    )


_ENTRIES: Mapping[Kind, Mapping[str, object]] = MappingProxyType(
    {"optimizers": OPTIMIZERS, "lr_shapes": LR_SHAPES, "regularizers": REGULARIZERS, "corpora": CORPORA}
)


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
        )
        for name, info in sorted(OPTIMIZERS.items())
    ]
    header = ["optimizer", "reference lr", "lr range", "power", "settings (default)", "state", "paper"]
    note = "Learning rates at width 256; others scale by (256 / width) ** power. State: floats per parameter."
    return table(header, rows, caption=note)


def _lr_shapes() -> RenderableType:
    rows = [
        (name, info.summary, _settings(info.hparams), "yes" if info.anneals else "no", info.paper)
        for name, info in sorted(LR_SHAPES.items())
    ]
    return table(["lr_shape", "what it does", "settings (default)", "may end a schedule", "paper"], rows)


def _regularizers() -> RenderableType:
    rows = [
        (
            name,
            info.summary,
            f"{info.search_low:g} .. {info.search_high:g}{' log' if info.log else ''}",
            f"{info.low:g} .. {info.high:g}",
            info.paper,
        )
        for name, info in sorted(REGULARIZERS.items())
    ]
    return table(["regularizer", "its number", "sensible", "allowed", "paper"], rows)


def _corpora() -> RenderableType:
    rows = [
        (name, info.summary, f"about {format_count(info.num_bytes)}B", info.needs or "nothing", info.license)
        for name, info in sorted(CORPORA.items())
    ]
    return table(["corpus", "text", "size", "needs", "license"], rows)


_TABLES: Mapping[Kind, Callable[[], RenderableType]] = MappingProxyType(
    {"optimizers": _optimizers, "lr_shapes": _lr_shapes, "regularizers": _regularizers, "corpora": _corpora}
)


def _settings(hparams: Mapping[str, Hparam]) -> str:
    return ", ".join(f"{name} ({_default(hparam.default)})" for name, hparam in hparams.items()) or "none"


def _default(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
