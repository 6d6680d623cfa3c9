"""SentencePiece models as tokenizers of `tokenizers`, with the ids that SentencePiece itself gives.

The converters of `transformers` are each written for one architecture, and give other ids for the rest.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from mbo_search.data.tokenizing.foreign_tokenizers import WITH_TRANSFORMERS
from mbo_search.errors import DataError, Problem

MODEL_SUFFIX = ".model"
"""Ending of a file that holds a SentencePiece model."""

_SPACE = "\u2581"
_UNIGRAM, _BPE, _CHARACTERS = 1, 2, 4
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """A SentencePiece model in another form.

    Attributes:
        backend: The tokenizer.
        eos: The piece that ends a text; None if the model has none.
    """

    backend: tokenizers.Tokenizer
    eos: str | None


def sentencepiece_file(folder: Path) -> Path | None:
    """Find the SentencePiece model of a folder, by the names that models are published with."""
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def convert_sentencepiece(file: Path) -> ConvertedModel:
    """Convert a SentencePiece model.

    Raises:
        DataError: If a package is missing, or the file is not such a model, or is one of a kind that has no
            counterpart.
    """
    model = _parse(file)
    lacking = _without_counterpart(model)
    if lacking:
        hint = "give a tokenizer.json of it, or train one with {kind: bpe}"
        raise _problem(file, f"is a SentencePiece model {lacking}, which is not read", hint)
    is_unigram = model.trainer_spec.model_type == _UNIGRAM
    backend = tokenizers.Tokenizer(_unigram(model) if is_unigram else _bpe(model))
    _set_normalizer(backend, model)
    _set_decoder(backend, model)
    marks = [piece.piece for piece in model.pieces if piece.type in (_CONTROL, _UNKNOWN)]
    backend.add_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])
    backend.add_tokens([AddedToken(piece, normalized=True) for piece in _user_defined(model)])
    eos_id = model.trainer_spec.eos_id
    return ConvertedModel(backend, model.pieces[eos_id].piece if 0 <= eos_id < len(model.pieces) else None)


def _without_counterpart(model: Any) -> str:
    """What of a model would give other ids here; empty if nothing."""
    if model.trainer_spec.model_type not in (_UNIGRAM, _BPE, _CHARACTERS):
        return "of whole words"
    if model.trainer_spec.treat_whitespace_as_suffix or not model.normalizer_spec.escape_whitespaces:
        return "with spaces behind words or without marks for them"
    if any(character.isspace() or character == _SPACE for character in "".join(_user_defined(model))):
        return "with symbols of its own that hold spaces"
    return ""


def _parse(file: Path) -> Any:
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        rule = "is a SentencePiece model, which needs the packages `sentencepiece` and `protobuf`"
        raise _problem(file, rule, "install them with `pip install 'mbo-search[models]'`") from error
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made while it is imported
    try:
        model.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise _not_a_model(file) from error
    if not model.pieces:
        raise _not_a_model(file)
    return model


def _unigram(model: Any) -> models.Unigram:
    vocab = [(piece.piece, piece.score) for piece in model.pieces]
    return models.Unigram(vocab, unk_id=model.trainer_spec.unk_id, byte_fallback=model.trainer_spec.byte_fallback)


def _bpe(model: Any) -> models.BPE:
    """Merges in the order of the scores of what they make; a model of characters has none."""
    vocab = {piece.piece: number for number, piece in enumerate(model.pieces)}
    merges = list(_merges(model)) if model.trainer_spec.model_type == _BPE else []
    return models.BPE(
        vocab=vocab,
        merges=merges,
        unk_token=model.pieces[model.trainer_spec.unk_id].piece,
        fuse_unk=True,
        byte_fallback=model.trainer_spec.byte_fallback,
    )


def _merges(model: Any) -> Iterator[tuple[str, str]]:
    normal = {piece.piece: piece.score for piece in model.pieces if piece.type == _NORMAL}
    for piece in sorted(normal, key=lambda piece: -normal[piece]):
        for cut in range(1, len(piece)):
            if piece[:cut] in normal and piece[cut:] in normal:
                yield piece[:cut], piece[cut:]


def _set_normalizer(backend: tokenizers.Tokenizer, model: Any) -> None:
    """What SentencePiece does to a text first, and where text may not be cut into the names of marks."""
    spec = model.normalizer_spec
    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        edges = rf"\A +|[ {_SPACE}]+\z"
        steps += [normalizers.Replace(Regex(edges), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    symbols = "|".join(re.escape(symbol) for symbol in _user_defined(model))
    if spec.add_dummy_prefix and symbols:
        # A symbol is looked for in normalised text in the form that it has when it is normalised alone, which must
        # be without a space. So a text that is nothing but one symbol gets none either; SentencePiece gives it one.
        steps.append(normalizers.Replace(Regex(rf"\A{_SPACE}(?=(?:{symbols})\z)"), ""))
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])
    if model.trainer_spec.model_type == _UNIGRAM:
        cuts = [pre_tokenizers.Split(Regex(mark), "merged_with_previous") for mark in _spelled_marks(model)]
        backend.pre_tokenizer = pre_tokenizers.Sequence(cuts)


def _spelled_marks(model: Any) -> Iterator[str]:
    """Patterns of the first character of text that spells a piece which stands for no text of its own."""
    marks = [piece.piece for piece in model.pieces if piece.type not in (_NORMAL, _USER_DEFINED)]
    spelled = sorted(mark for mark in marks if len(mark) > 1)
    for first, group in itertools.groupby(spelled, key=lambda mark: mark[0]):
        yield f"{re.escape(first)}(?={'|'.join(re.escape(mark[1:]) for mark in group)})"


def _set_decoder(backend: tokenizers.Tokenizer, model: Any) -> None:
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.normalizer_spec.add_dummy_prefix or model.normalizer_spec.remove_extra_whitespaces:
        steps.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(steps)


def _user_defined(model: Any) -> Sequence[str]:
    return [piece.piece for piece in model.pieces if piece.type == _USER_DEFINED]


def _not_a_model(file: Path) -> DataError:
    hint = f"if it is one of tiktoken: {WITH_TRANSFORMERS}"
    return _problem(file, "is not a SentencePiece model", hint)


def _problem(file: Path, rule: str, hint: str) -> DataError:
    return DataError([Problem(key="data.tokenizer.path", value=str(file), rule=rule, hint=hint)])
