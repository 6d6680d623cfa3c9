"""How fast a schedule trains, beside loops that people would write by hand, and beside `transformers.Trainer`.

    python -m benchmarks.trainer_speed --width 64 128 256 -o benchmarks/results/trainer-speed.json

Everything trains the same number of weights, or nearly, on the same batches: 4 layers, 4 heads, tied embeddings,
AdamW with clipping, float32 or bfloat16. Steps are taken in turns within one process; processor seconds (on a GPU
seconds) and lower quartiles keep other processes out of the comparison, and the interval is that of the ratio over
blocks of steps. The share of the peak is that of what large square products reach here, counted for the weights and
the attention of our decoder.

  ours                  the training loop as a study uses it
  ours, compiled        the same with `train.compile: on`
  gpt                   a decoder shaped like GPT-2 (LayerNorm, GELU, learned positions) in a plain loop
  gpt, compiled         the same through `torch.compile`
  llama                 `transformers.LlamaForCausalLM` in a plain loop
  transformers.Trainer  the same model in the library's trainer as it comes, without evaluation or checkpoints
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.stacked_siblings import seconds_of
from mbo_search.data.batches import Batch, TrainingStream
from mbo_search.data.mixing.reading import Reading
from mbo_search.model.size import flops_per_token, mlp_width
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.segments import cut
from mbo_search.system.device import Device, Precision
from mbo_search.system.files import write_json
from mbo_search.train.compiled import as_written, compiled_forward
from mbo_search.train.loop import StepContext, train_segment
from mbo_search.train.saved_state import fresh_state
from mbo_search.train.setup.setup import TrainSetup

VOCAB_SIZE = 1024
BATCH_TOKENS = 1024
LAYERS, HEADS = 4, 4
LR, CLIP_NORM, BETAS = 4e-3, 1.0, (0.9, 0.95)
BLOCKS = 5
BASE = "gpt"

Step = Callable[[Tensor], None]
"""Trains on token ids, int64 [B, T + 1]."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--context", type=int, nargs="+", default=[128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--steps", type=int, default=60, help="of each, after five to warm up")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="what to leave out")
    parser.add_argument("-o", "--out", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    if arguments.steps < 2 * BLOCKS:
        parser.error(f"--steps must be at least {2 * BLOCKS}")
    found = []
    sizes = itertools.product(arguments.precision, arguments.threads, arguments.context, arguments.width)
    for precision, threads, context, width in sizes:
        shape = Shape(width=width, context=context, threads=threads, precision=precision, device=arguments.device)
        rows = measure(shape, arguments.steps, arguments.without)
        print(shape.title, *lines(rows), sep="\n", flush=True)
        found.append({"shape": asdict(shape), "torch": torch.__version__, "rows": rows})
    if arguments.out is not None:
        write_json(arguments.out, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is measured: the width and context of a model, the threads and the arithmetic."""

    width: int
    context: int
    threads: int
    precision: Precision
    device: Device

    @property
    def title(self) -> str:
        """For people."""
        return f"width {self.width}, context {self.context}, {self.threads} threads, {self.precision}"

    @property
    def spec(self) -> ModelSpec:
        """The decoder of a study."""
        return ModelSpec(layers=LAYERS, width=self.width, heads=HEADS, context=self.context)

    def autocast(self) -> AbstractContextManager[object]:
        """The arithmetic of a forward pass."""
        return torch.autocast(self.device, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()


def measure(shape: Shape, num_steps: int, without: Sequence[str]) -> dict[str, dict[str, float]]:
    """Train in turns; tokens per processor second of each, and its ratio to the plain GPT loop."""
    torch.set_num_threads(shape.threads)
    generator = torch.Generator().manual_seed(0)
    size = (BATCH_TOKENS // shape.context, shape.context + 1)
    makers: dict[str, Callable[[], Step]] = {
        "ours": lambda: ours(shape, is_compiled=False),
        "ours, compiled": lambda: ours(shape, is_compiled=True),
        "gpt": lambda: plain(Gpt(shape), shape),
        "gpt, compiled": lambda: plain(torch.compile(Gpt(shape), dynamic=False), shape),
        "llama": lambda: plain(llama(shape), shape),
    }
    ways = {name: make() for name, make in makers.items() if name not in without}
    for _ in range(5):
        for step in ways.values():
            step(torch.randint(VOCAB_SIZE, size, generator=generator).to(shape.device))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(num_steps):
        tokens = torch.randint(VOCAB_SIZE, size, generator=generator).to(shape.device)
        for name, step in ways.items():
            seconds[name].append(seconds_of(lambda step=step, tokens=tokens: step(tokens), shape.device))
    if "transformers.Trainer" not in without:
        seconds["transformers.Trainer"] = library_trainer(shape, num_steps)
    peak = peak_flops(shape)
    return {
        name: _row(own, seconds[BASE], flops_per_token(shape.spec, VOCAB_SIZE) / peak)
        for name, own in seconds.items()
    }


def peak_flops(shape: Shape) -> float:
    """Floating point operations per second of a large square product."""
    size = 1024 if shape.device == "cpu" else 8192
    dtype = torch.bfloat16 if shape.precision == "bfloat16" else torch.float32
    matrix = torch.ones(size, size, dtype=dtype, device=shape.device)
    return 2 * size**3 / min(seconds_of(lambda: matrix @ matrix, shape.device) for _ in range(20))


def _row(own: Sequence[float], base: Sequence[float], peak_seconds: float) -> dict[str, float]:
    blocks = [_quartile(b) / _quartile(a) for a, b in zip(_blocks(own), _blocks(base), strict=True)]
    return {
        "tokens_per_second": BATCH_TOKENS / _quartile(own),
        "peak_share": peak_seconds * BATCH_TOKENS / _quartile(own),
        "ratio": _quartile(base) / _quartile(own),
        "low": min(blocks),
        "high": max(blocks),
    }


def lines(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line each, for people."""
    return [
        f"  {name:20} {row['tokens_per_second'] / 1000:6.1f} k/s  {row['ratio']:.2f} of {BASE} "
        f"({row['low']:.2f} to {row['high']:.2f}), {100 * row['peak_share']:.0f} % of the peak"
        for name, row in rows.items()
    ]


class RandomText(TrainingStream):
    """A stream whose batches are those of the other loops."""

    seed = 0

    def __init__(self) -> None:
        self.tokens = torch.zeros((1, 1), dtype=torch.int64)

    def at(self, reading: Reading | None) -> RandomText:
        """The same text, however sources are mixed."""
        return self

    def in_order(self, curriculum: object) -> RandomText:
        """The same text in any order."""
        return self

    def num_targets(self, position_tokens: int, num_sequences: int, context: int) -> int:
        """Every token is predicted."""
        return num_sequences * context

    def read_tokens(self, position_tokens: int) -> dict[str, int]:
        """It has no sources."""
        return {}

    def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
        """The tokens of the step."""
        tokens = self.tokens.cpu().numpy()
        return Batch(inputs=tokens[:, :-1].copy(), targets=tokens[:, 1:].copy())


def ours(shape: Shape, *, is_compiled: bool) -> Step:
    """The training loop of a study, a grid segment of one step at a time."""
    setup = _setup(shape, is_compiled)
    hparams = {"beta1": BETAS[0], "beta2": BETAS[1], "eps": 1e-8}
    stage = Stage(name="only", share=1.0, optimizer="adamw", hparams=hparams, lr=LR, clip_norm=CLIP_NORM)
    stream, state = RandomText(), fresh_state(setup, 0)
    forward = compiled_forward(setup) if is_compiled else as_written
    context = StepContext(setup=setup, stream=stream, seed=0, forward=forward)
    segments = iter(cut(Schedule(stages=(stage,)), setup.budget()))

    def step(tokens: Tensor) -> None:
        stream.tokens = tokens
        train_segment(state, next(segments), context, stop=lambda: False, observe=lambda report: None)

    return step


def _setup(shape: Shape, is_compiled: bool) -> TrainSetup:
    return TrainSetup(
        model=shape.spec,
        vocab_size=VOCAB_SIZE,
        data_folder="",
        data_fingerprint="",
        bytes_per_token=1.0,
        num_segments=1000,
        steps_per_segment=1,
        batch_tokens=BATCH_TOKENS,
        block_tokens=shape.context,
        micro_batch=BATCH_TOKENS // shape.context,
        precision=shape.precision,
        threads=shape.threads,
        device=shape.device,
        evaluation_tokens=1,
        points=1,
        windows_fingerprint="",
        compiled=is_compiled,
        numerics={},
    )


class Gpt(nn.Module):
    """A decoder shaped like GPT-2: LayerNorm, one product for queries, keys and values, GELU, learned positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.tokens, self.places = nn.Embedding(VOCAB_SIZE, width), nn.Embedding(shape.context, width)
        self.blocks = nn.ModuleList(GptBlock(width) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width, bias=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Score the next token at each place."""
        x_BTC = self.tokens(tokens_BT) + self.places(torch.arange(tokens_BT.shape[1], device=tokens_BT.device))
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return F.linear(self.norm(x_BTC), self.tokens.weight)


class GptBlock(nn.Module):
    """A layer of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attend, self.project = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.widen, self.narrow = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Attend, then transform each place."""
        shape = (*x_BTC.shape[:2], HEADS, -1)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.attend(self.first(x_BTC)).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x_BTC.shape)
        x_BTC = x_BTC + self.project(mixed)
        return x_BTC + self.narrow(F.gelu(self.widen(self.second(x_BTC))))


def llama(shape: Shape) -> nn.Module:
    """The library's model of the shape of ours."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=shape.width,
            intermediate_size=mlp_width(shape.spec),
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )


def plain(model: nn.Module, shape: Shape) -> Step:
    """A loop that people would write: forward, backward, clip, AdamW's fused kernel."""
    parameters = list(model.to(shape.device).parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LR, betas=BETAS, weight_decay=0.0, fused=True)

    def step(tokens: Tensor) -> None:
        with shape.autocast():
            scores = model(tokens[:, :-1])
        scores = scores if isinstance(scores, Tensor) else scores.logits
        F.cross_entropy(scores.float().flatten(0, 1), tokens[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()

    return step


def library_trainer(shape: Shape, num_steps: int) -> list[float]:
    """Seconds of each step of `transformers.Trainer`, told by its callbacks."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            times.append(time.process_time() if shape.device == "cpu" else time.perf_counter())

    size = (num_steps + 6) * (BATCH_TOKENS // shape.context)
    rows = torch.randint(VOCAB_SIZE, (size, shape.context), generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH_TOKENS // shape.context,
            max_steps=num_steps + 6,
            learning_rate=LR,
            max_grad_norm=CLIP_NORM,
            bf16=shape.precision == "bfloat16",
            use_cpu=shape.device == "cpu",
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        texts = [{"input_ids": row, "labels": row} for row in rows]
        Trainer(model=llama(shape), args=arguments, train_dataset=texts, callbacks=[Clock()]).train()
    return np.diff(times)[-num_steps:].tolist()


def _blocks(seconds: Sequence[float]) -> list[Sequence[float]]:
    return [list(block) for block in np.array_split(np.asarray(seconds), BLOCKS)]


def _quartile(seconds: Sequence[float]) -> float:
    return float(np.quantile(seconds, 0.25))


if __name__ == "__main__":
    main()
