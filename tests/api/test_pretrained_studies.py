"""Proves that a study of a pretrained model is searched, taken up again and exported like any other, and that its
mistakes are found before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import pytest
import torch
import transformers

import mbo_search as mbo
from mbo_search.testing.pretrained import write_pretrained
from tests.api.conftest import QUIET
from tests.train.builder import write_corpus

STUDY = """
study: go-on
data: {source: [texts]}
model: {pretrained: base, context: 16, layers: 2}
budget: {tokens: 3840, grid: 0.25}
train: {batch_tokens: 96, threads: 1, precision: float32}
evaluation: {tokens: 256, points: 2}
resources: {workers: 1}
search: {trials: 3}
stages:
  - {name: warm, share: 0.5, optimizer: [adamw, muon], lr: {relative: {low: 1, high: 30}}}
  - {name: cool, share: rest, optimizer: adamw, lr: {relative: {low: 1, high: 30}}, lr_shape: linear}
"""


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "texts")
    write_pretrained("llama", tmp_path / "base")
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return file


def test_a_search_starts_from_the_weights_and_ends_in_a_folder_like_theirs(study_file: Path) -> None:
    run = mbo.search(study_file, options=QUIET)
    assert run.summary is not None
    assert run.summary.num_complete == 3
    setup = json.loads((run.path / "setup.json").read_text())
    assert (setup["model"]["architecture"], setup["model"]["layers"]) == ("llama", 2)
    assert setup["vocab_size"] == 257
    page = (run.path / "report.html").read_text()
    assert "llama, 2 layers, width 32, pretrained" in page

    again = mbo.resume(run, overrides=["search.trials=4"], options=QUIET)
    assert again.summary is not None
    assert again.summary.num_complete == 4

    from mbo_search.export.final import train_final
    from mbo_search.study.files.schedule_file import load_schedule_file

    final = train_final(
        load_schedule_file(run.path / "best.yaml"), study_file.parent / "final", cache=Path("cache")
    )
    loaded = transformers.AutoModelForCausalLM.from_pretrained(study_file.parent / "final")
    assert type(loaded).__name__ == "LlamaForCausalLM"
    assert final.num_parameters == sum(parameter.numel() for parameter in loaded.parameters())
    best = again.ranking.sort_values("val_loss").iloc[0]
    assert final.val_loss == pytest.approx(float(best["val_loss"]), rel=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # between the two libraries
def test_adapters_are_searched_and_written_beside_the_merged_model(study_file: Path) -> None:
    from mbo_search.data.prepare import prepare
    from mbo_search.export.final import train_final
    from mbo_search.study.files.schedule_file import load_schedule_file
    from mbo_search.train.setup.eval_text import validation_use

    adapters = "model.adapters={lora: {rank: [2, 4], targets: [auto, attention]}}"
    overrides = [adapters, "search.trials=2", "train.micro_batch=6", "train.precision=float32"]
    run = mbo.search(mbo.load_study(study_file, overrides), options=QUIET)
    assert run.summary is not None
    assert run.summary.num_complete == 2
    states = [json.loads(path.read_text()) for path in run.path.rglob("stages/**/state.json")]
    assert states
    assert all(state["base"] and state["adapter"]["rank"] in (2, 4) for state in states)

    file = load_schedule_file(run.path / "best.yaml")
    final = train_final(file, study_file.parent / "final", cache=Path("cache"))
    rows = validation_use(prepare(file.study.data, Path("cache")), context=16, num_tokens=256).rows
    batch = rows.read(0, rows.num_rows)
    base = transformers.AutoModelForCausalLM.from_pretrained(study_file.parent / "base", num_hidden_layers=2)
    adapted = peft.PeftModel.from_pretrained(base, study_file.parent / "final" / "adapter")
    merged = transformers.AutoModelForCausalLM.from_pretrained(study_file.parent / "final")
    for model in (adapted, merged):
        with torch.inference_mode():
            logits = model.eval()(input_ids=torch.from_numpy(batch.inputs)).logits.flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.targets).flatten())
        assert float(loss) == pytest.approx(final.val_loss, abs=1e-4)


def test_other_weights_under_the_same_name_end_a_run(study_file: Path) -> None:
    run = mbo.search(study_file, options=QUIET)
    write_pretrained("llama", study_file.parent / "base", seed=1)
    with pytest.raises(mbo.UserError, match="is not what it was when the study began"):
        mbo.resume(run, overrides=["search.trials=4"], options=QUIET)


def test_the_tokenizer_is_the_model_s_own(study_file: Path) -> None:
    study = mbo.load_study(study_file)
    assert (study.data.tokenizer.kind, study.data.tokenizer.path) == ("file", str(study_file.parent / "base"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.pretrained=HuggingFaceTB/SmolLM2-135M", "nothing is downloaded"),
        ("model.pretrained=texts", "holds no config.json"),
        ("model.pretrained=study.yaml", "is not a folder"),
        ("model.pretrained=' '", "model.pretrained: ' ' is empty"),
        (f"model.pretrained={'x' * 5000}", "cannot be looked for: File name too long"),
        ("model.pretrained=~nobody-here/m", "model.pretrained: ~nobody-here/m names the home folder"),
        ("data.tokenizer=bytes", "gives tokens that the pretrained model has never seen"),
        ("model.width=64", "is not a known key"),
        ("model.context=4", "must be at least 8"),
    ],
)
def test_a_mistake_is_found_in_the_file(study_file: Path, override: str, said: str) -> None:
    with pytest.raises(mbo.UserError, match=said):
        mbo.load_study(study_file, [override])


def test_pickled_weights_are_refused(study_file: Path) -> None:
    (study_file.parent / "base" / "model.safetensors").rename(study_file.parent / "base" / "pytorch_model.bin")
    with pytest.raises(mbo.UserError, match=r"no weights as \.safetensors"):
        mbo.load_study(study_file)


def test_what_the_folder_cannot_give_is_said_before_training(study_file: Path) -> None:
    with pytest.raises(mbo.UserError, match="more than the 3 layers of the model"):
        mbo.search(mbo.load_study(study_file, ["model.layers=5"]), options=QUIET)
    assert not (study_file.parent / "reports").exists()


def test_reference_rates_are_those_of_going_on(study_file: Path) -> None:
    from mbo_search.study.catalogue.optimizers import OPTIMIZERS
    from mbo_search.study.spec.reference_lr import reference_lr

    study = mbo.load_study(study_file)
    assert reference_lr(study, "adamw") == 1e-4
    ratio = OPTIMIZERS["lion"].reference_lr / OPTIMIZERS["adamw"].reference_lr
    assert reference_lr(study, "lion") == pytest.approx(1e-4 * ratio, rel=1e-3)
