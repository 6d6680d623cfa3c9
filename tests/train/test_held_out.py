"""Proves that each judged document has the loss that a plain loop over its tokens gives, that padding never counts,
and that setups of earlier versions keep their windows and are judged on nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mbo_search.data.batches import IGNORED
from mbo_search.data.judged import JudgedPieces, JudgedText, judged_pieces
from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.data.windows import WindowRows, windows_at
from mbo_search.errors import DataError, TrialError
from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.train.evaluation import evaluate
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.held_out import JudgedLosses, evaluate_held_out, judge
from mbo_search.train.saved_state import load_model
from mbo_search.train.setup.eval_text import (
    evaluation_rows,
    evaluation_windows_of,
    judged_rows,
    over_whole_split,
    validation_use,
)
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import LINEAR, make_schedule, make_stage, tiny_setup, write_corpus


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Data with enough documents to judge on."""
    root = tmp_path_factory.mktemp("many")
    source = str(write_corpus(root / "texts", num_documents=300))
    spec = DataSpec(source=(source,), tokenizer=TokenizerSpec(kind="bytes"), dedup="none", validation_share=0.15)
    return prepare(spec, root / "cache")


@pytest.fixture(scope="module")
def judged_setup(many: PreparedData) -> TrainSetup:
    use = validation_use(many, context=16, num_tokens=256)
    assert use.judged is not None
    changes = {"windows_fingerprint": use.fingerprint, "judged_fingerprint": use.judged_fingerprint}
    return tiny_setup(many, **changes)


@pytest.fixture
def model(judged_setup: TrainSetup) -> Decoder:
    return build_decoder(judged_setup.model, judged_setup.vocab_size, seed=1).eval()


@pytest.fixture
def text(many: PreparedData, judged_setup: TrainSetup) -> JudgedText:
    found = judged_rows(many, judged_setup)
    assert isinstance(found, JudgedPieces)
    return found.text


def judged(model: Decoder, many: PreparedData, text: JudgedText, setup: TrainSetup) -> JudgedLosses:
    return judge(model, rows_of(many, text), setup)


def rows_of(many: PreparedData, text: JudgedText) -> JudgedPieces:
    return judged_pieces(many.tokens("validation"), text, context=16, eos_id=many.metadata.eos_id)


def naive_nats(model: Decoder, many: PreparedData, start: int, length: int) -> float:
    """One document, sixteen tokens at a time."""
    tokens = torch.from_numpy(many.tokens("validation").astype("int64"))
    document = torch.cat([torch.tensor([many.metadata.eos_id]), tokens[start : start + length]])
    total = 0.0
    for first in range(0, length, 16):
        piece = document[first : first + 17]
        logits = model(piece[:-1][None]).detach()[0].double()
        total += float(F.cross_entropy(logits, piece[1:], reduction="sum"))
    return total


def test_losses_are_those_of_a_plain_loop(
    model: Decoder, many: PreparedData, text: JudgedText, judged_setup: TrainSetup
) -> None:
    found = judged(model, many, text, judged_setup)
    assert found.document_tokens == text.lengths
    expected = [naive_nats(model, many, *document) for document in zip(text.starts, text.lengths, strict=True)]
    assert found.document_nats == pytest.approx(expected, rel=1e-5)
    assert found.loss == pytest.approx(sum(expected) / text.num_tokens, rel=1e-5)
    assert text.num_documents >= 20


def test_the_documents_are_whole_ones_of_the_split(many: PreparedData, text: JudgedText) -> None:
    tokens = many.tokens("validation")
    for start, length in zip(text.starts, text.lengths, strict=True):
        assert start == 0 or tokens[start - 1] == many.metadata.eos_id
        document = tokens[start : start + length]
        assert document[-1] == many.metadata.eos_id
        assert many.metadata.eos_id not in document[:-1]
        assert many.tokenizer().decode(document[:-1].tolist()).startswith("Document ")


@pytest.mark.parametrize("micro_batch", [1, 3, 64])
def test_batches_do_not_matter(
    model: Decoder, many: PreparedData, text: JudgedText, judged_setup: TrainSetup, micro_batch: int
) -> None:
    other = judged(model, many, text, judged_setup.model_copy(update={"micro_batch": micro_batch}))
    assert other.document_nats == pytest.approx(judged(model, many, text, judged_setup).document_nats, rel=1e-5)


def test_padding_never_counts(model: Decoder, many: PreparedData, text: JudgedText) -> None:
    """The same bits, whatever token fills up; and a piece alone, without padding, has the same losses."""
    rows = rows_of(many, text)
    chosen = rows.pieces.lengths.argsort()[[0, 1, -1]]
    assert rows.pieces.lengths[chosen[0]] < 16
    batches = [rows.read(chosen, padding=fill) for fill in (0, 65)]
    assert (batches[0].inputs != batches[1].inputs).any()
    logits = [
        model(torch.from_numpy(batch.inputs))[torch.from_numpy(batch.targets != IGNORED)] for batch in batches
    ]
    assert torch.equal(*logits)


def test_the_last_document_is_judged_alone_as_among_others(
    model: Decoder, many: PreparedData, text: JudgedText, judged_setup: TrainSetup
) -> None:
    alone = JudgedText(starts=text.starts[-1:], lengths=text.lengths[-1:], split_sha256="")
    among = judged(model, many, text, judged_setup)
    assert judged(model, many, alone, judged_setup).document_nats == pytest.approx(
        among.document_nats[-1:], rel=1e-5
    )


def test_a_loss_that_is_not_finite_is_an_error(
    model: Decoder, many: PreparedData, text: JudgedText, judged_setup: TrainSetup
) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(TrialError, match="judged document is not finite"):
        judged(model, many, text, judged_setup)


def test_a_setup_without_judged_documents_keeps_its_windows(many: PreparedData, judged_setup: TrainSetup) -> None:
    old = over_whole_split(judged_setup, many)
    written = old.model_dump(mode="json")
    del written["judged_fingerprint"]  # as earlier versions wrote it
    read = TrainSetup.model_validate_json(json.dumps(written))
    assert read == old
    rows = evaluation_rows(many, read)
    assert isinstance(rows, WindowRows)
    assert rows.windows == evaluation_windows_of(many, context=16, num_tokens=256)
    assert judged_rows(many, read) is None
    assert read.windows_fingerprint != judged_setup.windows_fingerprint
    assert read.root_key(0) == judged_setup.root_key(0)


def test_other_text_is_not_taken_for_the_judged_one(many: PreparedData, judged_setup: TrainSetup) -> None:
    with pytest.raises(DataError, match="does not hold the judged documents"):
        judged_rows(many, judged_setup.model_copy(update={"judged_fingerprint": "x"}))
    with pytest.raises(DataError, match="does not hold the data"):
        evaluation_rows(many, judged_setup.model_copy(update={"windows_fingerprint": "x"}))


@pytest.fixture(scope="module", params=["adamw", "sf_adamw"])
def trained(
    request: pytest.FixtureRequest, judged_setup: TrainSetup, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float]:
    """A finished state, and its loss on the evaluation windows."""
    schedule = make_schedule(make_stage("all", 1.0, request.param, lr_shape=LINEAR))
    path = schedule_path(schedule, judged_setup, 3)
    runner = TorchStageRunner(judged_setup, tmp_path_factory.mktemp("scratch"))
    folder, report = runner.run(None, path.segments, 3, lambda: False)
    assert folder is not None
    return folder, report.curve[-1].loss


def test_held_out_losses_are_those_of_the_weights_that_were_measured(
    trained: tuple[Path, float], many: PreparedData, judged_setup: TrainSetup, text: JudgedText
) -> None:
    """With the averaged weights after a schedule-free stage, and with the same bits each time."""
    folder, final_loss = trained
    model = load_model(folder, judged_setup)
    measured = evaluate(model, evaluation_rows(many, judged_setup), judged_setup)
    assert measured.loss == final_loss
    losses = evaluate_held_out(folder, judged_setup, many, ("test", "judged"))
    assert losses.judged == judged(model, many, text, judged_setup)
    assert losses.test_loss is not None
    assert losses.message == ""
    torch.set_num_threads(2)
    assert losses == evaluate_held_out(folder, judged_setup, many, ("test", "judged"))


def test_pieces_have_the_losses_of_windows(model: Decoder, many: PreparedData, judged_setup: TrainSetup) -> None:
    """All pieces of a long document but its first lie as windows do, one token before what they predict."""
    nats = [
        judged(model, many, JudgedText(starts=(0,), lengths=(length,), split_sha256=""), judged_setup)
        for length in (16, 160)
    ]
    windows = windows_at([16 * number - 1 for number in range(1, 10)], context=16, split_sha256="")
    measured = evaluate(model, WindowRows(tokens=many.tokens("validation"), windows=windows), judged_setup)
    assert (nats[1].document_nats[0] - nats[0].document_nats[0]) / 144 == pytest.approx(measured.loss, rel=1e-6)


def test_held_out_losses_on_judged_documents_leave_the_test_split_alone(
    trained: tuple[Path, float], many: PreparedData, judged_setup: TrainSetup
) -> None:
    losses = evaluate_held_out(trained[0], judged_setup, many, ("judged",))
    assert losses.test_loss is None
    assert losses.judged is not None
    assert math.isfinite(losses.judged.loss)


def test_failures_of_held_out_losses_are_reported_and_fail_nothing(
    trained: tuple[Path, float], many: PreparedData, judged_setup: TrainSetup, tmp_path: Path
) -> None:
    other = judged_setup.model_copy(update={"judged_fingerprint": "x"})
    losses = evaluate_held_out(trained[0], other, many, ("test", "judged"))
    assert losses.test_loss is not None
    assert losses.judged is None
    assert losses.message.startswith("no judged loss: ")
    missing = evaluate_held_out(tmp_path, judged_setup, many, ("test", "judged"))
    assert missing.message.startswith("no test loss: ")
    assert "; no judged loss: " in missing.message
