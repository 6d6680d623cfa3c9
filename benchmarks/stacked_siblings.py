"""Would trials that differ only in numbers train faster as one stacked model than one after the other?

    python benchmarks/stacked_siblings.py --width 64 128 --members 4

Siblings share the shape of the model and the batch, so `torch.func` can stack their weights and take all passes at
once: one large product in place of several small ones. Both ways are taken in turns within one process, on one
thread; processor seconds (on a GPU seconds) and lower quartiles keep other processes out of the comparison. The
optimizer's step is left out: on stacked weights it is the same work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.system.device import Device
from mbo_search.system.files import write_json

VOCAB_SIZE = 1024
BATCH_TOKENS = 1024
CONTEXT = 128


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("-o", "--out", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(width, arguments.members, arguments.steps) for width in arguments.width]
    for row in rows:
        print(
            f"width {row['width']:.0f}: {row['members']:.0f} siblings one by one {row['apart_ms']:.1f} ms, stacked "
            f"{row['stacked_ms']:.1f} ms, ratio {row['ratio']:.2f}"
        )
    if arguments.out is not None:
        write_json(arguments.out, {"torch": torch.__version__, "rows": rows})


def measure(width: int, num_members: int, num_steps: int, *, device: Device = "cpu") -> dict[str, float]:
    """Milliseconds of a pass of all siblings, both ways."""
    spec = ModelSpec(layers=4, width=width, heads=4, context=CONTEXT)
    members = [build_decoder(spec, VOCAB_SIZE, seed).to(device) for seed in range(num_members)]
    tokens = torch.randint(VOCAB_SIZE, (BATCH_TOKENS // CONTEXT, CONTEXT + 1)).to(device)
    apart, stacked = one_by_one(members, tokens), as_one(members, tokens)
    _check_equal(apart(), stacked())
    apart_seconds, stacked_seconds = [], []
    for _ in range(num_steps):
        apart_seconds.append(seconds_of(apart, device))
        stacked_seconds.append(seconds_of(stacked, device))
    first, second = (float(np.quantile(found, 0.25)) for found in (apart_seconds, stacked_seconds))
    return {
        "width": width,
        "members": num_members,
        "apart_ms": 1e3 * first,
        "stacked_ms": 1e3 * second,
        "ratio": first / second,
    }


def one_by_one(members: list[Decoder], tokens: Tensor) -> Callable[[], list[Tensor]]:
    """Gradients of the embeddings of each member, one pass after the other."""

    def passes() -> list[Tensor]:
        found = []
        for member in members:
            member.zero_grad()
            F.cross_entropy(member(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
            found.append(member.model.embed_tokens.weight.grad)
        return found

    return passes


def as_one(members: list[Decoder], tokens: Tensor) -> Callable[[], list[Tensor]]:
    """The same from one pass of the stacked members."""
    weights, buffers = stack_module_state(members)
    weights.pop("lm_head.weight", None)  # tied to the embeddings

    def loss(own: Mapping[str, Tensor], own_buffers: Mapping[str, Tensor]) -> Tensor:
        tied = {**own, "lm_head.weight": own["model.embed_tokens.weight"]}
        scores = functional_call(members[0], (tied, own_buffers), (tokens[:, :-1],))
        return F.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())

    gradients = vmap(grad(loss))

    def passes() -> list[Tensor]:
        return list(gradients(weights, buffers)["model.embed_tokens.weight"])

    return passes


def _check_equal(first: list[Tensor], second: list[Tensor]) -> None:
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def seconds_of(work: Callable[[], object], device: Device) -> float:
    """Time of some work: of the processor, or until the GPU has done it."""
    if device == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
