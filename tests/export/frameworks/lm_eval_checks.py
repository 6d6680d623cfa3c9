"""What `lm_eval` finds for windows of text by a local task file, to be run where it can be imported.

Called with the folder of the model and a folder with `windows.jsonl`; prints the mean loss of a token.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

TASK = """
task: windows
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{continuation}}}}"
target_delimiter: ""
metric_list: [{{metric: perplexity, aggregation: perplexity, higher_is_better: false}}]
"""

if __name__ == "__main__":
    model, folder = (Path(word) for word in sys.argv[1:])
    file = folder / "windows.jsonl"
    (folder / "windows.yaml").write_text(TASK.format(file=file), encoding="utf-8")
    num_targets = {json.loads(line)["num_targets"] for line in file.read_text(encoding="utf-8").splitlines()}
    (per_window,) = num_targets
    found = simple_evaluate(
        model=HFLM(pretrained=str(model), device="cpu", batch_size=16, dtype="float32"),
        tasks=["windows"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
    )
    perplexity_of_windows = found["results"]["windows"]["perplexity,none"]
    print(f"loss {math.log(perplexity_of_windows) / per_window:.9f}")
