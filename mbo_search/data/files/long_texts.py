"""Documents of a long text file in parts, so that no file has to fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mbo_search.data.clean import clean_cut
from mbo_search.data.document import Document

_PART_CHARACTERS = 1 << 22


def parted_documents(blocks: Iterable[str], mark: str, name: str) -> Iterator[Document]:
    """Read the documents of a text in blocks: those between marks, a longer one in parts.

    Args:
        blocks: The text.
        mark: What ends a document; empty if nothing does.
        name: Name of the file.
    """
    number = part = 0
    for text, is_end in _cut(blocks, mark):
        yield Document(name=f"{name}#{number}", text=text, part=part)
        number, part = (number + 1, 0) if is_end else (number, part + 1)


def _cut(blocks: Iterable[str], mark: str) -> Iterator[tuple[str, bool]]:
    """Texts, and whether each ends its document; white space behind the last mark is no document."""
    held, is_within = "", False
    for block in blocks:
        *whole, held = (held + block).split(mark) if mark else (held + block,)
        for text in whole:
            yield text, True
        is_within = is_within and not whole
        if len(held) > _PART_CHARACTERS:
            cut = clean_cut(held, len(held) - len(mark) - 1)  # what is left may begin with half a mark
            if cut:
                yield held[:cut], False
                held, is_within = held[cut:], True
    if held.strip() or is_within:
        yield held, True
