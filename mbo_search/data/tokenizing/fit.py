"""Whether a tokenizer fits a text: text that it has no tokens for is lost, and its loss looks like a good model."""

from __future__ import annotations

from collections.abc import Iterable

from mbo_search.data.metadata import Split, SplitMetadata
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import TokenizerSpec

MOST_UNKNOWN = 0.05
"""Largest share of a split's tokens that may be unknown, and of its characters that may have no token at all."""

_SAMPLES = 64
_SAMPLE_CHARACTERS = 4096


def sample_step(num_documents: int) -> int:
    """Every how many documents one is looked at.

    >>> sample_step(10), sample_step(1000)
    (1, 15)
    """
    return max(1, num_documents // _SAMPLES)


def check_covered(spec: TokenizerSpec, samples: Iterable[str], tokenizer: Tokenizer) -> None:
    """Check on texts that a tokenizer drops hardly any characters.

    Raises:
        DataError: If it drops more than `MOST_UNKNOWN`.
    """
    if spec.kind != "file":
        return  # those made here have a token for every byte
    share = tokenizer.uncovered_share([text[:_SAMPLE_CHARACTERS] for text in samples])
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
