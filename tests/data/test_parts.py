"""Proves that the evaluation windows never touch a judged document, that no text is refused for want of documents,
and that every token of a judged document is read exactly once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mbo_search.data import parts
from mbo_search.data.batches import IGNORED
from mbo_search.data.judged import JudgedText, judged_pieces
from mbo_search.data.parts import ValidationParts, validation_parts
from mbo_search.data.prepare import prepare
from mbo_search.data.token_files import document_ends
from mbo_search.data.windows import evaluation_windows
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.train.setup.eval_text import evaluation_windows_of, validation_use

EOS = 0


def split_of(lengths) -> np.ndarray:
    """Documents of these lengths, their end-of-document tokens among them; every token tells its document."""
    return np.concatenate([[*[number + 1] * (length - 1), EOS] for number, length in enumerate(lengths)]).astype(
        "u4"
    )


def parted(tokens: np.ndarray, *, context: int = 16, num_tokens: int = 256) -> ValidationParts:
    return validation_parts(tokens, eos_id=EOS, context=context, num_tokens=num_tokens, split_sha256="a")


def whole(tokens: np.ndarray, *, context: int = 16, num_tokens: int = 256):
    return evaluation_windows(len(tokens), context=context, num_tokens=num_tokens, split_sha256="a")


def touched(found: ValidationParts, tokens: np.ndarray) -> set[int]:
    """Documents with a token in a window, be it an input or a target."""
    documents = np.concatenate([[0], np.cumsum(tokens == EOS)[:-1]])
    spans = (documents[start : start + found.windows.context + 1] for start in found.windows.starts)
    return {int(document) for span in spans for document in span}


LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=120)


@given(lengths=LENGTHS, context=st.integers(1, 40), count=st.integers(1, 60))
def test_parts_are_disjoint_whole_documents_or_there_are_none(lengths, context, count):
    tokens = split_of(lengths)
    assume(count * context < len(tokens))
    found = parted(tokens, context=context, num_tokens=count * context)
    assert found.windows.num_tokens == count * context
    gaps = np.diff([*found.windows.starts, len(tokens) - 1])
    assert (gaps >= context).all()
    if found.judged is None:
        assert found.windows == whole(tokens, context=context, num_tokens=count * context)
        assert found.why_not
    else:
        edges = np.concatenate([[0], document_ends(tokens, EOS)])
        judged = [int(np.searchsorted(edges, start)) for start in found.judged.starts]
        assert [int(edges[number]) for number in judged] == list(found.judged.starts)
        assert [lengths[number] for number in judged] == list(found.judged.lengths)
        assert not touched(found, tokens) & set(judged)
        assert found.judged.num_documents >= parts.FEWEST_JUDGED_DOCUMENTS
        assert found.judged.num_tokens >= parts.FEWEST_JUDGED_TOKENS


def test_only_as_much_is_set_aside_as_the_windows_need():
    tokens = split_of([100] * 1000)
    found = parted(tokens, context=128, num_tokens=12_800)
    assert found.judged is not None
    assert 12_800 < len(tokens) - found.judged.num_tokens < 1.25 * 12_800


def test_both_parts_come_from_all_over_the_split():
    tokens = split_of([60] * 1000)
    found = parted(tokens, context=16, num_tokens=16 * 160)
    assert found.judged is not None
    edges = np.linspace(0, len(tokens), 11)
    assert np.histogram(found.windows.starts, edges)[0].tolist() == pytest.approx([16] * 10, abs=5)
    shares = np.histogram(found.judged.starts, edges)[0] / found.judged.num_documents
    assert shares == pytest.approx([0.1] * 10, abs=0.02)


def test_long_documents_share_the_windows():
    found = parted(split_of([5_000] * 40), context=16, num_tokens=16 * 64)
    documents = np.asarray(found.windows.starts) // 5_000
    assert np.unique(documents, return_counts=True)[1].tolist() == [8] * 8


def test_a_document_without_an_end_is_one_too():
    tokens = split_of([50] * 200)[:-10]
    found = parted(tokens)
    assert found.judged is not None
    assert found.judged.starts[-1] + found.judged.lengths[-1] in (len(tokens), 199 * 50)


@pytest.mark.parametrize("lengths", [[5_000], [50] * 20, [9] * 200, [1_000] * 15, [300] * 4])
def test_too_few_documents_leave_the_windows_where_they_were(lengths):
    tokens = split_of(lengths)
    found = parted(tokens)
    assert (found.windows, found.judged) == (whole(tokens), None)
    assert (
        f"(documents: {len(lengths)}, tokens: {len(tokens)}) cannot hold the windows of an evaluation"
        in found.why_not
    )
    assert "20 other documents with 2000 tokens" in found.why_not


def test_a_split_that_is_too_short_for_its_windows_is_refused_as_before():
    with pytest.raises(DataError, match="needs a validation split of at least 257 tokens"):
        parted(split_of([10] * 25))


@pytest.mark.parametrize("length", [40, 250, 5_000, 30_000])
def test_what_is_judged_is_bounded_and_evenly_chosen(length):
    tokens = split_of([length] * (3_000_000 // length))
    judged = parted(tokens).judged
    assert judged is not None
    assert parts.FEWEST_JUDGED_DOCUMENTS <= judged.num_documents <= parts.MOST_JUDGED_DOCUMENTS
    assert judged.num_tokens <= parts.MOST_JUDGED_TOKENS
    assert judged.num_tokens > 0.9 * min(parts.MOST_JUDGED_TOKENS, parts.MOST_JUDGED_DOCUMENTS * length)
    assert max(judged.lengths) <= parts.MOST_DOCUMENT_TOKENS
    halves = np.histogram(judged.starts, [0, len(tokens) / 2, len(tokens)])[0]
    assert halves[0] == pytest.approx(halves[1], abs=2)


def test_fingerprints_name_the_documents_and_the_windows():
    tokens = split_of([50] * 200)
    one, same, other = parted(tokens), parted(tokens), parted(tokens, num_tokens=320)
    assert one == same
    assert one.judged.fingerprint == same.judged.fingerprint
    assert one.judged.fingerprint != other.judged.fingerprint
    assert len({one.windows.fingerprint, other.windows.fingerprint, whole(tokens).fingerprint}) == 3


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=30), context=st.integers(1, 20), data=st.data())
def test_every_token_is_read_once_from_the_one_before_it(lengths, context, data):
    rng = np.random.default_rng(0)
    tokens = split_of(lengths)
    tokens[tokens != EOS] = rng.integers(1, 1000, (tokens != EOS).sum())
    starts = np.cumsum([0, *lengths[:-1]])
    chosen = sorted(data.draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1)))
    text = JudgedText(
        starts=tuple(starts[chosen].tolist()), lengths=tuple(lengths[i] for i in chosen), split_sha256="a"
    )
    rows = judged_pieces(tokens, text, context=context, eos_id=EOS)
    pieces = rows.pieces
    read = {number: [] for number in range(len(chosen))}
    batches = rows.batches(3 * context)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pieces.starts)))
    for batch in batches:
        found = rows.read(batch)
        assert found.inputs.size <= 3 * context
        for row, piece in enumerate(batch):
            pairs = zip(found.inputs[row], found.targets[row], strict=True)
            read[int(pieces.documents[piece])].append(
                (int(piece), [(int(one), int(two)) for one, two in pairs if two != IGNORED])
            )
    for number, document in enumerate(chosen):
        own = tokens[starts[document] : starts[document] + lengths[document]].tolist()
        pairs = [pair for _, some in sorted(read[number]) for pair in some]
        assert pairs == list(zip([EOS, *own[:-1]], own, strict=True))


def write_shard(path, docs) -> None:
    np.concatenate([[*document, 256] for document in docs]).astype("<u2").tofile(path)


def test_validation_shards_of_their_own_are_parted_by_their_ends(tmp_path):
    rng = np.random.default_rng(0)
    docs = [rng.integers(97, 123, 80).tolist() for _ in range(160)]
    write_shard(tmp_path / "train.bin", docs[:100])
    write_shard(tmp_path / "val.bin", docs[100:])
    spec = DataSpec(
        source=(str(tmp_path / "train.bin"),),
        validation=(str(tmp_path / "val.bin"),),
        tokenizer=TokenizerSpec(kind="bytes"),
    )
    prepared = prepare(spec, tmp_path / "cache")
    found = validation_use(prepared, context=16, num_tokens=256)
    assert found.judged is not None
    assert set(found.judged.text.lengths) == {81}
    assert {start % 81 for start in found.judged.text.starts} == {0}
    assert not {start // 81 for start in found.rows.windows.starts} & {
        start // 81 for start in found.judged.text.starts
    }


def test_an_endless_validation_shard_has_no_documents_to_judge_on(tmp_path):
    rng = np.random.default_rng(0)
    write_shard(tmp_path / "train.bin", [rng.integers(97, 123, 80).tolist() for _ in range(100)])
    rng.integers(97, 123, 50_000).astype("<u2").tofile(tmp_path / "val.bin")
    spec = DataSpec(
        source=(str(tmp_path / "train.bin"),),
        validation=(str(tmp_path / "val.bin"),),
        tokenizer=TokenizerSpec(kind="bytes"),
    )
    prepared = prepare(spec, tmp_path / "cache")
    found = validation_use(prepared, context=16, num_tokens=256)
    assert found.judged is None
    assert found.rows.windows == evaluation_windows_of(prepared, context=16, num_tokens=256)
    assert "(documents: 1, tokens: 50001)" in found.why_not


def test_texts_for_validation_are_parted_by_files(tmp_path):
    for folder, count in (("train", 80), ("val", 60)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number}.txt").write_text(f"{folder} {number} " + "letters and words " * 6)
    spec = DataSpec(
        source=(str(tmp_path / "train"),),
        validation=(str(tmp_path / "val"),),
        tokenizer=TokenizerSpec(kind="bytes"),
        dedup="none",
    )
    prepared = prepare(spec, tmp_path / "cache")
    found = validation_use(prepared, context=16, num_tokens=256)
    tokens, tokenizer = prepared.tokens("validation"), prepared.tokenizer()
    assert found.judged is not None
    for start, length in zip(found.judged.text.starts, found.judged.text.lengths, strict=True):
        text = tokenizer.decode(tokens[start : start + length].tolist())
        assert text.startswith("val ")
        assert text.count("val ") == 1
