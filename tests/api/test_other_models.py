"""Proves that studies of masked models, of any architecture and of the user's own module are searched, taken up and
exported like any other, and that their numbers are called what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

import mbo_search as mbo
from mbo_search.export.final import train_final
from mbo_search.export.sample import sample
from mbo_search.extensions import ALLOW_CODE
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.pretrained import write_pretrained
from tests.api.conftest import QUIET
from tests.api.test_pretrained_studies import STUDY
from tests.model.test_own_module import CODE
from tests.train.builder import write_corpus

PRETRAINED = "{pretrained: base, context: 16, layers: 2}"
BERT = "{hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "texts")
    return tmp_path


def write_study(folder: Path, model: str, tokenizer: str = "") -> Path:
    file = folder / "study.yaml"
    text = STUDY.replace(PRETRAINED, model).replace("search: {trials: 3}", "search: {trials: 2}")
    file.write_text(text.replace("source: [texts]", f"source: [texts]{tokenizer}"))
    return file


def test_a_masked_model_is_searched_and_its_perplexities_are_called_so(folder: Path) -> None:
    write_pretrained("bert", folder / "base")
    run = mbo.search(write_study(folder, PRETRAINED), options=QUIET)
    assert run.summary is not None
    assert run.summary.num_complete == 2
    assert "Perplexity of masked tokens" in (run.path / "report.html").read_text()
    assert "Losses and perplexities are those of masked tokens." in (run.path / "ranking.json").read_text()
    with pytest.raises(mbo.UserError, match="predicts masked tokens, not next ones"):
        sample(run.path, "the stage")

    final = train_final(load_schedule_file(run.path / "best.yaml"), folder / "final", cache=folder / "cache")
    assert type(transformers.AutoModelForMaskedLM.from_pretrained(folder / "final")).__name__ == "BertForMaskedLM"
    best = run.ranking.sort_values("val_loss").iloc[0]
    assert final.val_loss == pytest.approx(float(best["val_loss"]), rel=1e-6)


def test_a_fresh_architecture_is_searched_and_exported(folder: Path) -> None:
    model = f"{{architecture: llama, config: {BERT}, context: 16}}"
    run = mbo.search(write_study(folder, model, ", tokenizer: bytes"), options=QUIET)
    again = mbo.resume(run, overrides=["search.trials=3"], options=QUIET)
    assert again.summary is not None
    assert again.summary.num_complete == 3
    assert "llama, 2 layers, width 32" in (again.path / "report.html").read_text()
    train_final(load_schedule_file(run.path / "best.yaml"), folder / "final", cache=folder / "cache")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder / "final")
    assert loaded.config.hidden_size == 32


def test_masked_models_have_no_tasks(folder: Path) -> None:
    write_pretrained("bert", folder / "base")
    (folder / "pairs.jsonl").write_text("".join(f'{{"q": "a{n}", "a": "b"}}\n' for n in range(60)))
    study = mbo.load_study(
        write_study(folder, PRETRAINED), ["data.source=[pairs.jsonl]", "data.task={prompt: q, completion: a}"]
    )
    with pytest.raises(mbo.UserError, match="predicts masked tokens, and a task asks for next ones"):
        mbo.search(study, options=QUIET)


def test_a_module_is_searched_only_where_it_is_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.py").write_text(CODE)
    file = write_study(folder, '{code: "model.py:Mean", arguments: {width: 24}, context: 16}', ", tokenizer: bytes")
    with pytest.raises(mbo.UserError, match="give --allow-code"):
        mbo.search(file, options=QUIET)
    assert not (folder / "reports").exists()

    run = mbo.search(file, options=mbo.Options(backend="local", quiet=True, allow_code=True))
    assert run.summary is not None
    assert run.summary.num_complete == 2
    with pytest.raises(mbo.UserError, match="give --allow-code"):
        mbo.resume(run, overrides=["search.trials=3"], options=QUIET)

    monkeypatch.setenv(ALLOW_CODE, "1")
    train_final(load_schedule_file(run.path / "best.yaml"), folder / "final", cache=folder / "cache")
    assert sample(folder / "final", "the stage", num_tokens=3) is not None
    (folder / "model.py").write_text(CODE.replace("relu", "tanh"))
    with pytest.raises(mbo.UserError, match=r"model\.code: .*model\.py is not what it was"):
        mbo.resume(run, overrides=["search.trials=3"], options=QUIET)


def test_code_that_is_missing_is_found_in_the_file(folder: Path) -> None:
    with pytest.raises(mbo.UserError, match=r"model\.code: model\.py does not exist"):
        mbo.load_study(write_study(folder, '{code: "model.py:Mean", context: 16}', ", tokenizer: bytes"))
