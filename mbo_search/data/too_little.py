"""Text that is too little for a study, told with what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.data.metadata import DedupMetadata, DropReason, Split
from mbo_search.data.split import SMALLEST_LIMIT
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec

_FATES: dict[DropReason, str] = {
    "empty": "hold no text",
    "too_short": "are shorter than data.min_characters",
    "in_validation": "are in the validation text as well",
    "in_test": "are in the test text as well",
    "exact": "are equal to an earlier one",
    "near": "are nearly equal to an earlier one",
}
_HINTS: dict[DropReason, str] = {
    "in_validation": "name other files in data.validation, or leave it out: part of data.source is set aside then",
    "in_test": "keep the test text out of data.source",
    "exact": "`data.dedup: none` keeps them",
    "near": "`data.dedup: exact` keeps them",
    "too_short": "lower data.min_characters",
}


def check_enough(spec: DataSpec, held_out: tuple[Split, ...], num_left: int, dedup: DedupMetadata) -> None:
    """Check that every split gets a document.

    Raises:
        DataError: If there are fewer documents than splits; says what became of the others.
    """
    if num_left > len(held_out):
        return
    aside = f" to set aside {' and '.join(held_out)}" if held_out else ""
    fates = ", ".join(_fates(dedup)) or f"documents over {SMALLEST_LIMIT} characters are cut into pieces"
    rule = (
        f"is too little text{aside}: {num_left} documents or pieces are left, "
        f"at least {len(held_out) + 1} are needed ({fates})"
    )
    largest = max(dedup.dropped, key=lambda reason: dedup.dropped[reason].num_documents, default=None)
    hint = _HINTS.get(largest, "give more text") if largest else "give more text"
    raise DataError([Problem(key="data.source", value=", ".join(spec.source), rule=rule, hint=hint)])


def _fates(dedup: DedupMetadata) -> Iterator[str]:
    for reason, dropped in dedup.dropped.items():
        yield f"{dropped.num_documents} {_FATES[reason]}"
