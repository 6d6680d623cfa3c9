"""An exported model, measured by a program that knows nothing of this one."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from mbo_search.export.files import Chosen, export_schedules
from mbo_search.results.records.run_data import same_data
from mbo_search.train.setup.eval_text import evaluation_rows
from tests.export.frameworks.test_hub import recorded_loss
from tests.export.trained import build_trained_run, write_texts
from tests.helpers.overlays import ROOT, with_overlay

WORDS = ("stage", "schedule", "loss", "trains", "slowly", "warm")


def write_windows(run, cache, folder):
    """The evaluation windows as text: `lm_eval` gives what follows the first token the model's probability."""
    prepared = same_data(run, cache)
    rows = evaluation_rows(prepared, run.setup())
    batch, tokenizer = rows.read(0, rows.num_rows), prepared.tokenizer()
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    windows = [
        {
            "context": tokenizer.decode(row[:1].tolist()),
            "continuation": tokenizer.decode(targets.tolist()),
            "num_targets": len(targets),
        }
        for row, targets in zip(batch.inputs, batch.targets, strict=True)
    ]
    assert not any(window["context"].isspace() or not window["context"] for window in windows)
    text = "".join(json.dumps(window) + "\n" for window in windows)
    (folder / "windows.jsonl").write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_lm_eval_finds_the_recorded_perplexity(tmp_path, monkeypatch):
    """The text has no white space, which lm_eval would move from a context to what follows it."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    texts = write_texts(tmp_path / "texts", words=WORDS, between="-")
    run = build_trained_run(tmp_path, texts=texts)
    (exported,) = export_schedules(run, Chosen(trial=1), "hf", tmp_path / "model")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    write_windows(run, tmp_path / "cache", tasks)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.export.frameworks.lm_eval_checks", exported.out, tasks],
        cwd=ROOT,
        env=with_overlay("lm-eval") | {"HF_HOME": str(tmp_path / "hub"), "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    loss = float(ran.stdout.splitlines()[-1].removeprefix("loss "))
    assert math.exp(loss) == pytest.approx(math.exp(recorded_loss(run)), rel=1e-5)
