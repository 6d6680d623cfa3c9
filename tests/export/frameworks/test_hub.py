"""A trial as a folder: `transformers` alone loads it, generates with it, and measures the recorded loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from mbo_search.errors import UserError
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.export.sample import load_trial
from mbo_search.results.records.run_data import same_data
from mbo_search.train.setup.eval_text import evaluation_rows


@pytest.fixture(scope="module")
def exported(run, cache, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBO_SEARCH_CACHE", str(cache))
        (found,) = export_schedules(run, Chosen(trial=1), "hf", tmp_path_factory.mktemp("hub") / "model")
    return found


@pytest.fixture(scope="module")
def loaded(exported):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return (
        AutoModelForCausalLM.from_pretrained(exported.out),
        AutoTokenizer.from_pretrained(exported.out),
    )


def recorded_loss(run, trial=1):
    return next(record.val_loss for record in run.records() if record.trial == trial)


def test_transformers_measures_the_recorded_perplexity(run, cache, loaded):
    model, _ = loaded
    rows = evaluation_rows(same_data(run, cache), run.setup())
    batch = rows.read(0, rows.num_rows)
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.inputs)).logits
    loss = cross_entropy(logits.flatten(0, 1).double(), torch.from_numpy(batch.targets).flatten()).item()
    assert math.exp(loss) == pytest.approx(math.exp(recorded_loss(run)), rel=1e-5)


def test_transformers_generates_what_the_trial_generates(run, loaded):
    model, tokenizer = loaded
    ours, _ = load_trial(run, 1)
    ids = torch.tensor([tokenizer("12: the stage")["input_ids"]])
    generated = model.generate(ids, max_new_tokens=8, do_sample=False)
    for place in range(ids.shape[1], generated.shape[1]):
        assert ours(generated[:, :place])[0, -1].argmax() == generated[0, place]


def test_special_tokens_are_those_of_training_and_a_batch_can_be_padded(run, cache, loaded):
    model, tokenizer = loaded
    prepared = same_data(run, cache)
    assert tokenizer.eos_token_id == model.config.eos_token_id == prepared.metadata.eos_id
    assert model.config.bos_token_id is None
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    batch = tokenizer(["warm", "slowly warm"], padding=True, return_tensors="pt")
    assert batch["attention_mask"][0, 0] == 0
    both = model.generate(**batch, max_new_tokens=4, do_sample=False)
    alone = model.generate(**tokenizer("warm", return_tensors="pt"), max_new_tokens=4, do_sample=False)
    assert both[0, -4:].tolist() == alone[0, -4:].tolist()


def test_the_folder_says_where_it_comes_from(exported, run):
    card = (exported.out / "README.md").read_text(encoding="utf-8")
    assert f"{recorded_loss(run):.4f} nats" in card
    assert all(remark in card for remark in exported.remarks)
    assert {"schedule.yaml", "config.json", "model.safetensors"} <= {file.name for file in exported.files}


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files of something else"):
        export_schedules(run, Chosen(trial=1), "hf", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_earlier_export_is_written_over(run, tmp_path):
    for trial in (0, 1):
        export_schedules(run, Chosen(trial=trial), "hf", tmp_path / "model")
    assert "schedule #1" in (tmp_path / "model/README.md").read_text(encoding="utf-8")
