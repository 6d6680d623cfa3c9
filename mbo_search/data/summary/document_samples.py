"""Some documents of a split as the model sees them: out of the token files, decoded."""

from __future__ import annotations

from pydantic import Field

from mbo_search.data.metadata import Split
from mbo_search.data.prepare import PreparedData
from mbo_search.data.token_files import document_ends
from mbo_search.study.spec.base import Description
from mbo_search.units import printable

NUM_SAMPLES = 5
"""Documents of each split."""

_MOST_CHARACTERS = 300
_MOST_TOKENS = 4 * _MOST_CHARACTERS
"""Decoded of a long document; a character has at most four bytes, and a token at least one."""

_LONGEST_WORD = 40
_SEARCHED_TOKENS = 20_000_000


class DocumentSample(Description):
    """The beginning of a document.

    Attributes:
        text: What its tokens spell, in one line; line ends and what cannot be printed are escapes.
        num_tokens: Tokens of the whole document, its end included.
        is_cut: Whether the text goes on.
    """

    text: str
    num_tokens: int = Field(gt=0)
    is_cut: bool


def document_samples(prepared: PreparedData, split: Split) -> tuple[DocumentSample, ...]:
    """Take documents spread over a split; of a very large one, over its first 20 million tokens."""
    tokens, eos_id = prepared.tokens(split), prepared.metadata.eos_id
    ends = document_ends(tokens[:_SEARCHED_TOKENS], eos_id).tolist()
    if not ends or (ends[-1] < len(tokens) <= _SEARCHED_TOKENS):
        ends.append(len(tokens))
    tokenizer = prepared.tokenizer()
    found = []
    for number in _spread(len(ends)):
        first, end = ends[number - 1] if number else 0, ends[number]
        ids = [token for token in tokens[first : min(end, first + _MOST_TOKENS)].tolist() if token != eos_id]
        text, is_cut = beginning(tokenizer.spell(ids))
        if end > first:
            is_cut = is_cut or end - first > _MOST_TOKENS
            found.append(DocumentSample(text=text, num_tokens=end - first, is_cut=is_cut))
    return tuple(found)


def _spread(count: int) -> list[int]:
    """Positions from the first to the last, as evenly as they go."""
    if count <= NUM_SAMPLES:
        return list(range(count))
    return [round(index * (count - 1) / (NUM_SAMPLES - 1)) for index in range(NUM_SAMPLES)]


def beginning(text: str) -> tuple[str, bool]:
    """The beginning of a text, printable, cut at a word where there are words; and whether it was cut.

    >>> beginning("two lines" + chr(10) + "of text") == (r"two lines" + r"\\n" + "of text", False)
    True
    """
    if len(text) <= _MOST_CHARACTERS:
        return printable(text), False
    kept = text[:_MOST_CHARACTERS]
    last_word = max(kept.rfind(space, _MOST_CHARACTERS - _LONGEST_WORD) for space in " \n\t")
    is_between_words = text[_MOST_CHARACTERS].isspace()
    return printable(kept if last_word < 0 or is_between_words else kept[:last_word]), True
