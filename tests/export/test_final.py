"""The final model loads in `transformers` with the same loss, and training it survives interruption bit for bit."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from mbo_search.data.prepare import prepare
from mbo_search.errors import StudyError, TrialError, UserError
from mbo_search.export.final import FinalModel, train_final
from mbo_search.export.hub_folder import read_hub_folder
from mbo_search.export.private_paths import without_folders
from mbo_search.study.files.schedule_file import load_schedule_file, parse_schedule_file
from mbo_search.train.setup.eval_text import validation_use
from tests.export.trained import build_trained_run


@pytest.fixture(scope="module")
def file(run):
    return load_schedule_file(run.best_yaml)


@pytest.fixture(scope="module")
def final(file, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("final") / "model"
    return train_final(file, out, cache=cache), out


def _digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_the_search_seed_and_budget_give_the_recorded_loss(file, final):
    model, out = final
    assert model.val_loss == file.provenance.search_loss
    assert FinalModel.model_validate_json((out / "final.json").read_bytes()) == model
    assert {path.name for path in out.iterdir()} == {
        *("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("README.md", "final.json", "schedule.yaml"),
    }
    assert model.file == without_folders(file)
    assert parse_schedule_file((out / "schedule.yaml").read_text(), "schedule.yaml") == model.file
    for name in ("schedule.yaml", "final.json", "README.md"):
        assert str(Path(file.study.data.source[0]).parent) not in (out / name).read_text()


def _transformers_loss(folder, prepared, num_tokens):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    context = model.config.max_position_embeddings
    rows = validation_use(prepared, context=context, num_tokens=num_tokens).rows
    batch = rows.read(0, rows.num_rows)
    inputs, targets = batch.inputs, batch.targets
    with torch.inference_mode():
        logits = model(torch.from_numpy(inputs)).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten()).item()


def assert_transformers_agrees(out, final, data, cache):
    from transformers import AutoTokenizer

    prepared = prepare(data, cache)
    loss = _transformers_loss(out, prepared, final.file.study.evaluation.tokens)
    assert loss == pytest.approx(final.val_loss, abs=1e-4)
    theirs, ours = AutoTokenizer.from_pretrained(out), prepared.tokenizer()
    text = "the schedule trains\n\n  slowly \u8bad\u7ec3 \u00e9 <|x|>"
    assert theirs.encode(text, add_special_tokens=False) == ours.encode(text)
    assert theirs.decode(ours.encode(text)) == text
    assert theirs.eos_token_id == ours.eos_id
    assert theirs.model_max_length == final.file.study.model.context


def test_transformers_gives_the_same_loss_and_tokens(file, final, cache):
    model, out = final
    assert_transformers_agrees(out, model, file.study.data, cache)


@pytest.mark.slow
def test_transformers_agrees_for_bpe_and_untied_embeddings(tmp_path):
    run = build_trained_run(tmp_path, tokenizer="{kind: bpe, vocab_size: 320}", tied=False)
    file = load_schedule_file(run.best_yaml)
    model = train_final(file, tmp_path / "model", cache=tmp_path / "cache")
    assert model.val_loss == file.provenance.search_loss
    assert_transformers_agrees(tmp_path / "model", model, file.study.data, tmp_path / "cache")


@pytest.mark.skipif(version("transformers") < "5", reason="its tokenizers return token_type_ids by default")
def test_transformers_generates_until_the_end_of_a_document(final):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, out = final
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    ids = model.generate(**tokenizer("the", return_tensors="pt"), max_new_tokens=5)
    assert ids.shape[1] >= 2


def test_transformers_generates_for_a_batch(final):
    from transformers import pipeline

    _, out = final
    generate = pipeline("text-generation", model=str(out), device="cpu")
    found = generate(["the", "the schedule trains"], batch_size=2, max_new_tokens=3, do_sample=False)
    alone = generate(["the"], max_new_tokens=3, do_sample=False)
    assert found[0][0]["generated_text"] == alone[0][0]["generated_text"]


def test_a_finished_model_is_returned_without_training(file, final, cache):
    model, out = final
    before = _digests(out)
    assert train_final(file, out, cache=cache, stop=lambda: pytest.fail("trained")) == model
    assert _digests(out) == before


def test_an_interrupted_training_goes_on_to_the_same_bits(file, final, cache, tmp_path):
    _, uninterrupted = final
    out = tmp_path / "model"
    for after in (7, 11, 13):
        polls = iter(range(10_000))
        with pytest.raises(TrialError) as caught:
            train_final(file, out, cache=cache, stop=lambda polls=polls, after=after: next(polls) >= after)
        assert caught.value.reason == "signal"
        assert not (out / "final.json").exists()
    train_final(file, out, cache=cache)
    assert _digests(out)["model.safetensors"] == _digests(uninterrupted)["model.safetensors"]
    assert not (out / "training").exists()


def test_budget_size_and_seed_can_be_changed(file, cache, tmp_path):
    overrides = ["budget.tokens=5120", "model.layers=1", "model.width=16", "seed=9"]
    model = train_final(file, tmp_path / "model", overrides, cache=cache)
    assert (model.total_tokens, model.file.study.seed) == (5120, 9)
    assert model.file.schedule.stages[0].lr == 2 * file.schedule.stages[0].lr
    assert "becomes 0.02 at width 16" in (tmp_path / "model" / "README.md").read_text()
    decoder, _ = read_hub_folder(tmp_path / "model")
    assert (decoder.spec.layers, decoder.spec.width) == (1, 16)
    assert model.num_parameters == sum(parameter.numel() for parameter in decoder.parameters())


def test_a_folder_of_something_else_is_refused(file, final, cache, tmp_path):
    _, out = final
    with pytest.raises(UserError, match="another schedule or with other settings"):
        train_final(file, out, ["seed=9"], cache=cache)
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(UserError, match="holds files of something else"):
        train_final(file, tmp_path, cache=cache)
    with pytest.raises(UserError, match="is a file"):
        train_final(file, tmp_path / "thesis.doc", cache=cache)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_an_unfinished_training_is_not_taken_over_by_other_settings(file, cache, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(TrialError):
        train_final(file, out, cache=cache, stop=lambda: True)
    with pytest.raises(UserError, match="unfinished training of another schedule"):
        train_final(file, out, ["seed=9"], cache=cache)


def test_a_budget_that_does_not_fit_the_schedule_is_a_user_error(file, cache, tmp_path):
    with pytest.raises(StudyError, match=r"share: 0\.5, 0\.5 must be multiples of 1"):
        train_final(file, tmp_path / "model", ["budget.grid=1.0"], cache=cache)


@pytest.mark.parametrize("damage", ["missing weights", "cut weights", "other config", "no config"])
def test_damaged_folders_are_user_errors(final, tmp_path, damage):
    import shutil

    _, out = final
    folder = tmp_path / "copy"
    shutil.copytree(out, folder)
    if damage == "missing weights":
        (folder / "model.safetensors").unlink()
    elif damage == "cut weights":
        (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    elif damage == "other config":
        text = (folder / "config.json").read_text().replace("1e-06", "1e-05")
        (folder / "config.json").write_text(text)
    else:
        (folder / "config.json").write_text("[]")
    with pytest.raises(UserError, match="cannot be loaded"):
        read_hub_folder(folder)
