"""Progress of the unfinished spans in a scratch folder, for counting the work that a crash lost. No torch.

A small file beside the partial state of a span holds the step that training has reached; it is written several
times a second and not flushed, because it is only a count.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import Field

from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json, unique_sibling

_PROGRESS = "progress.json"


class _Progress(Description):
    step: int = Field(ge=0)
    wasted_tokens: int = Field(ge=0)


def write_progress(folder: Path, step: int, wasted_tokens: int) -> None:
    """Note how far training of a span came, and what earlier crashes lost.

    Raises:
        OSError: If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = unique_sibling(folder / _PROGRESS)
    try:
        temporary.write_text(_Progress(step=step, wasted_tokens=wasted_tokens).model_dump_json())
        temporary.replace(folder / _PROGRESS)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_progress(folder: Path) -> tuple[int, int]:
    """Step to which an earlier call came, and the tokens that calls before it lost; zeros if not noted."""
    try:
        progress = _Progress.model_validate(read_json(folder / _PROGRESS))
    except (OSError, ValueError):
        return 0, 0
    return progress.step, progress.wasted_tokens


def forget_span(folder: Path, first_step: int) -> tuple[int, int]:
    """Remove an unfinished span; return the steps trained, and the tokens that earlier calls lost."""
    came_to_step, lost_tokens = read_progress(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return max(0, came_to_step - first_step), lost_tokens
