"""A training script in JAX that a search calls. It imports nothing of the search: all it needs are five files.

mbo-search run study.yaml --allow-code
"""

import json
import os
import pathlib
import pydoc_data.topics
import signal

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np

CONTEXT, WIDTH, HIDDEN, ROWS = 8, 16, 64, 32
SAVE_EVERY = 50

TEXT = np.fromfile(pydoc_data.topics.__file__, dtype=np.uint8)  # any text; this one comes with Python
TRAIN, VAL = TEXT[: int(0.9 * len(TEXT))], TEXT[int(0.9 * len(TEXT)) :]


def batch(data, dice, rows):
    """Some places of the text: the bytes before each, and the byte there."""
    starts = dice.integers(len(data) - CONTEXT, size=rows)
    windows = np.stack([data[start : start + CONTEXT + 1] for start in starts])
    return windows[:, :-1], windows[:, -1]


def fresh(seed):
    """Weights before the first step, and the optimizer's empty state."""
    dice = np.random.default_rng(seed)
    sizes = {"embedding": (256, WIDTH), "hidden": (CONTEXT * WIDTH, HIDDEN), "out": (HIDDEN, 256)}
    weights = {name: dice.normal(0, size[0] ** -0.5, size).astype(np.float32) for name, size in sizes.items()}
    return {"w": weights} | empty(weights)


def empty(weights):
    """State of an optimizer that has done nothing."""
    zeros = {name: np.zeros_like(weight) for name, weight in weights.items()}
    return {"m": zeros, "v": zeros, "count": {"steps": np.float32(0)}}


def loss_of(weights, before, there):
    """Mean cross-entropy, nats per byte."""
    x = weights["embedding"][before].reshape(len(before), -1)
    scores = jax.nn.log_softmax(jnp.tanh(x @ weights["hidden"]) @ weights["out"])
    return -jnp.take_along_axis(scores, there[:, None].astype(int), axis=1).mean()


def clipped(weights, before, there, largest):
    """Loss, and gradients whose common norm is at most the largest one."""
    loss, grads = jax.value_and_grad(loss_of)(weights, before, there)
    norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
    return loss, jax.tree.map(lambda g: g * jnp.minimum(1.0, largest / (norm + 1e-6)), grads)


@jax.jit
def adamw_step(state, rows, lr, limits, settings):
    """One step of AdamW."""
    decay, largest = limits
    loss, grads = clipped(state["w"], *rows, largest)
    b1, b2, count = settings["beta1"], settings["beta2"], state["count"]["steps"] + 1
    m = jax.tree.map(lambda old, g: b1 * old + (1 - b1) * g, state["m"], grads)
    v = jax.tree.map(lambda old, g: b2 * old + (1 - b2) * g * g, state["v"], grads)
    w = jax.tree.map(
        lambda w, m, v: w * (1 - lr * decay) - lr * m / (1 - b1**count) / (jnp.sqrt(v / (1 - b2**count)) + 1e-8),
        state["w"],
        m,
        v,
    )
    return {"w": w, "m": m, "v": v, "count": {"steps": count}}, loss


@jax.jit
def nesterov_step(state, rows, lr, limits, settings):
    """One step of SGD with Nesterov momentum; what it does not use is kept as it is."""
    decay, largest = limits
    loss, grads = clipped(state["w"], *rows, largest)
    momentum = settings["momentum"]
    m = jax.tree.map(lambda old, g: momentum * old + g, state["m"], grads)
    w = jax.tree.map(lambda w, m, g: w * (1 - lr * decay) - lr * (g + momentum * m), state["w"], m, grads)
    return state | {"w": w, "m": m}, loss


STEPS = {"adamw": adamw_step, "sgd_nesterov": nesterov_step}


def save(state, step, folder):
    """Write a state; the new file replaces an old one at once."""
    arrays = {f"{part}/{name}": np.asarray(one) for part, group in state.items() for name, one in group.items()}
    with (folder / "state.part").open("wb") as file:
        np.savez(file, step=step, **arrays)
    (folder / "state.part").replace(folder / "state.npz")


def load(folder):
    """Read a state and its step."""
    state = {}
    with np.load(folder / "state.npz") as arrays:
        for name in arrays.files:
            if name != "step":
                state.setdefault(name.split("/")[0], {})[name.split("/")[1]] = arrays[name]
        return state, int(arrays["step"])


def main():
    """Answer one call."""
    ask = json.loads(pathlib.Path(os.environ["MBO_STAGE"]).read_text())
    partial, state_out = pathlib.Path(os.environ["MBO_PARTIAL"]), pathlib.Path(os.environ["MBO_STATE_OUT"])
    is_asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: is_asked_to_stop.append(True))

    first_step = ask["parts"][0]["first_step"]
    state, step = fresh(ask["seed"]), 0
    if (partial / "state.npz").exists():
        state, step = load(partial)
    elif os.environ["MBO_STATE_IN"]:
        state, step = load(pathlib.Path(os.environ["MBO_STATE_IN"]))
    with pathlib.Path(os.environ["MBO_REPORT"]).open("a", buffering=1) as report:
        for part in ask["parts"]:
            strategy = part["strategy"]
            take = STEPS[strategy["optimizer"]]
            limits = strategy["weight_decay"] or 0.0, strategy["clip_norm"] or np.inf
            if part["hand_over"] == "reset" and step == part["first_step"]:
                state = state | empty(state["w"])
            for lr in part["lrs"][max(0, step - part["first_step"]) :]:
                if is_asked_to_stop:
                    save(state, step, partial)
                    return
                rows = batch(TRAIN, np.random.default_rng([ask["seed"], step]), ROWS)
                state, loss = take(state, rows, lr, limits, strategy["hparams"])
                step += 1
                if step % 10 == 0:
                    report.write(json.dumps({"step": step, "train_loss": float(loss)}) + "\n")
                if step % SAVE_EVERY == 0:
                    save(state, step, partial)
            val_loss = float(loss_of(state["w"], *batch(VAL, np.random.default_rng(0), 2048)))
            report.write(json.dumps({"step": step, "val_loss": val_loss}) + "\n")
    save(state, step, state_out)
    result = {"val_loss": val_loss, "tokens": (step - first_step) * ROWS, "metrics": {"bits": val_loss / np.log(2)}}
    pathlib.Path(os.environ["MBO_RESULT"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
