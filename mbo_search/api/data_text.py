"""The data block in a terminal: whole for `plan` and `data`, in a few lines for `run` and `rank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from mbo_search.api.tables import facts
from mbo_search.report.data_block import DataBlock, data_block
from mbo_search.report.style.i18n import load_strings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.data.summary.data_summary import DataSummary
    from mbo_search.study.study import Study


def data_parts(study: Study, data: DataSummary) -> list[RenderableType]:
    """Lay out all that became of a text, warnings last."""
    block = _block(study, data)
    return [facts(block.rows), *_remarks(block)]


def data_lines(study: Study, data: DataSummary | None) -> list[Text]:
    """Lay out the most important of it; nothing where nobody knows."""
    if data is None:
        return []
    block = _block(study, data)
    return [*(Text(line) for line in block.lines), *_remarks(block)]


def _block(study: Study, data: DataSummary) -> DataBlock:
    return data_block(data, load_strings("en"), fields=", ".join(study.data.columns))


def _remarks(block: DataBlock) -> list[Text]:
    return [Text(f"Note: {remark}", style="yellow") for remark in block.remarks]
