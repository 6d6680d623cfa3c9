"""Whether a tokenizer fits a text: text that it has no tokens for is lost, and its loss looks like a good model."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.data.metadata import Split, SplitMetadata
from mbo_search.data.stored.stored_documents import StoredDocuments
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.study import TokenizerSpec

MOST_UNKNOWN = 0.05
"""Largest share of a split's tokens that may be unknown, and of its characters that may have no token at all."""

_SAMPLES = 64
_SAMPLE_CHARACTERS = 4096


def check_covered(spec: TokenizerSpec, splits: Sequence[StoredDocuments], tokenizer: Tokenizer) -> None:
    """Check on a sample that a tokenizer drops hardly any characters.

    Raises:
        DataError: If it drops more than `MOST_UNKNOWN`.
    """
    if spec.kind != "file":
        return  # those made here have a token for every byte
    step = max(1, sum(len(documents) for documents in splits) // _SAMPLES)
    chosen = (part for documents in splits for part in documents.first_parts(step))
    share = tokenizer.uncovered_share([part.text[:_SAMPLE_CHARACTERS] for part in chosen])
    if share > MOST_UNKNOWN:
        raise _unfit(spec, f"has no token for {share:.1%} of the characters and would drop them")


def check_known(spec: TokenizerSpec, split: Split, written: SplitMetadata) -> None:
    """Check that hardly any token of a split is the unknown one.

    Raises:
        DataError: If more than `MOST_UNKNOWN` are.
    """
    share = written.unknown_share
    if share is not None and share > MOST_UNKNOWN:
        raise _unfit(spec, f"does not fit the {split} text: {share:.1%} of its tokens are the unknown one")


def _unfit(spec: TokenizerSpec, rule: str) -> DataError:
    hint = f"at most {MOST_UNKNOWN:.0%} may be lost; take a tokenizer made for this text, or {{kind: bpe}}"
    return DataError([Problem(key="data.tokenizer.path", value=spec.path, rule=rule, hint=hint)])
