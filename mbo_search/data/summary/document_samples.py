"""Some documents of a split as the model sees them: out of the token files, decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mbo_search.data.metadata import Split
from mbo_search.data.prepare import PreparedData
from mbo_search.data.token_files import document_ends
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.study.spec.base import Description, without_unset
from mbo_search.units import printable

NUM_SAMPLES = 5
"""Documents of each split."""

_MOST_CHARACTERS = 300
_MOST_TOKENS = 4 * _MOST_CHARACTERS
"""Decoded of a long document; a character has at most four bytes, and a token at least one."""

_LONGEST_WORD = 40
_SEARCHED_TOKENS = 20_000_000


_MOST_OF_A_PIECE = 150
"""Characters of what is asked for, and of what stands before it."""

_MOST_PIECES = 6


class DocumentSample(Description):
    """The beginning of a document, or an example with what is asked for in double brackets.

    Attributes:
        text: What its tokens spell, in one line; line ends and what cannot be printed are escapes.
        num_tokens: Tokens of the whole document, its end included.
        is_cut: Whether the text goes on; dots stand in an example where something is left out.
        num_asked: Tokens that a task asks for; None for running text.
    """

    text: str
    num_tokens: int = Field(gt=0)
    is_cut: bool
    num_asked: int | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "num_asked")


def document_samples(prepared: PreparedData, split: Split) -> tuple[DocumentSample, ...]:
    """Take documents spread over a split; of a very large one, over its first 20 million tokens."""
    if prepared.is_task:
        return tuple(_examples(prepared, split))
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


def _examples(prepared: PreparedData, split: Split) -> Iterator[DocumentSample]:
    tokens, asked, tokenizer = prepared.tokens(split), prepared.asked(split), prepared.tokenizer()
    ends = prepared.ends(split).tolist()
    for number in _spread(len(ends)):
        first, end = ends[number - 1] if number else 0, ends[number]
        flags = asked[first:end].tolist()
        yield DocumentSample(
            text=_marked(tokens[first : end - 1].tolist(), flags[:-1], tokenizer),
            num_tokens=end - first,
            is_cut=False,
            num_asked=sum(flags),
        )


def _marked(ids: Sequence[int], flags: Sequence[int], tokenizer: Tokenizer) -> str:
    """The end of what stands before each answer, and its beginning in double brackets."""
    runs = itertools.groupby(zip(ids, flags, strict=True), key=lambda pair: pair[1])
    pieces = [(bool(flag), printable(tokenizer.spell([token for token, _ in run]))) for flag, run in runs]
    text = "".join(f"[[{_start(piece)}]]" if flag else _end(piece) for flag, piece in pieces[:_MOST_PIECES])
    return text if len(pieces) <= _MOST_PIECES else f"{text} ..."


def _start(text: str) -> str:
    return text if len(text) <= _MOST_OF_A_PIECE else f"{text[:_MOST_OF_A_PIECE]} ..."


def _end(text: str) -> str:
    return text if len(text) <= _MOST_OF_A_PIECE else f"... {text[-_MOST_OF_A_PIECE:]}"


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
