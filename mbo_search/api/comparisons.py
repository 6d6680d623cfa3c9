"""Comparing runs or single schedules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.runs import Run, paths_of
from mbo_search.system.fragments import fragment, paragraphs

if TYPE_CHECKING:
    from mbo_search.report.comparison.compared_runs import ComparedRun
    from mbo_search.report.style.i18n import Language


class Comparison:
    """Schedules of several runs side by side; made by `compare`.

    Attributes:
        verdict: Who is better and by how much, or why nobody can be called better.
        details: The statistics behind it, or what each schedule gains in its own study.
        warnings: What must not be overlooked, such as that budgets differ.
    """

    def __init__(self, compared: Sequence[ComparedRun]) -> None:
        from mbo_search.report.comparison.compare import comparison_words

        self._compared = tuple(compared)
        words = comparison_words(self._compared)
        self.verdict: str = words.verdict
        self.details: tuple[str, ...] = words.details
        self.warnings: tuple[str, ...] = words.warnings

    def save(self, path: Path | str, *, language: Language = "en") -> Path:
        """Write the comparison page.

        Args:
            path: The file to write (HTML).
            language: `en` or `zh`.

        Returns:
            The path.
        """
        from mbo_search.report.comparison.compare import write_comparison

        return write_comparison(self._compared, Path(path), language=language)

    def save_figures(self, folder: Path | str, *, language: Language = "en") -> tuple[Path, ...]:
        """Write the figures of the comparison as SVG and PNG.

        Args:
            folder: Where to write them; it is made if it does not exist.
            language: `en` or `zh`.

        Raises:
            UserError: If kaleido or a browser is missing, or a figure could not be drawn.
        """
        from mbo_search.report.comparison.compare import write_comparison_figures

        return write_comparison_figures(self._compared, Path(folder), language=language)

    def __repr__(self) -> str:
        """Say the verdict."""
        return f"<Comparison: {self.verdict}>"

    def _repr_html_(self) -> str:
        """Show verdict, details and warnings in a notebook."""
        return fragment(self.verdict, paragraphs(*self.details), paragraphs(*self.warnings))


def compare(runs: Sequence[Run | Path | str]) -> Comparison:
    """Compare runs or single schedules.

    Args:
        runs: At least two: runs, run directories, or single schedules as `DIR:TRIAL`.

    Raises:
        UserError: If there are fewer than two, or one does not exist, cannot be read or has not finished.
    """
    from mbo_search.report.comparison.compared_runs import open_compared_runs

    return Comparison(open_compared_runs(paths_of(runs)))
