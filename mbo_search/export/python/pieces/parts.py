"""The parameters of each optimizer, and what of its state a new one keeps."""

# mypy: no-warn-unreachable

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mbo_search.export.python.pieces.settings import DEVICE, LAYERS, Stage, State, Way
from mbo_search.export.python.pieces.updates import OPTIMIZERS

# What the libraries keep once for a group of parameters, and how it starts.
COUNTS: dict[str, dict[str, float]] = {
    "ademamix": {"step": 0, "slow_steps": 0},  # only: ademamix
    "sf_adamw": {"step": 0, "weight_sum": 0.0, "lr_max": -1.0},  # only: sf_adamw
    "soap": {"step": 0},  # only: soap
}


def block_of(name: str) -> str:
    """The kind of block that a parameter belongs to."""
    if "norm" in name or ".layers." not in name:
        return "norms" if "norm" in name else "embeddings"
    return "attention" if ".self_attn." in name else "mlp"


def layer_of(name: str) -> int | None:
    """The layer that a parameter belongs to."""
    return int(name.split(".")[2]) if ".layers." in name else None


def kind_of(stage: Stage, name: str, p: Tensor) -> str:
    """The optimizer that updates a parameter."""
    is_hidden_matrix = p.ndim == 2 and ".layers." in name
    return str([*stage["optimizers"]][0 if is_hidden_matrix else -1])


def lr_ratio(stage: Stage, name: str) -> float:
    """Learning rate of a parameter over that of its optimizer."""
    ratio: float = 1.0
    # only: lr_ratios
    ratio *= stage.get("lr_ratios", {}).get(block_of(name), 1.0)
    layer = layer_of(name)  # only: layer_decay
    above = LAYERS if "embed" in name else 0  # only: layer_decay
    above = above if layer is None else LAYERS - 1 - layer  # only: layer_decay
    ratio *= stage.get("layer_decay", 1.0) ** above  # only: layer_decay
    return ratio


def build_optimizers(model: nn.Module, stage: Stage, state: State) -> list[Optimizer]:
    """Build an optimizer for each group of parameters, on the state that is kept."""
    groups: dict[tuple[Any, ...], Stage] = {}
    for name, p in model.named_parameters():
        blocks = {"all", block_of(name), layer_of(name)}  # only: frozen
        p.requires_grad_(not blocks.isdisjoint(stage["trainable"]))  # only: frozen
        if not p.requires_grad:  # only: frozen
            continue
        decay = stage["weight_decay"] if p.ndim >= 2 else 0.0
        # only: decays
        if p.ndim >= 2:
            decay = stage.get("decays", {}).get(block_of(name), decay)
        group: Stage = {"kind": kind_of(stage, name, p), "decay": decay}
        group |= {"lr": 0.0, "weight_decay": 0.0}  # both are the training loop's affair
        # only: sf_adamw
        if group["kind"] == "sf_adamw":  # has two sequences of weights, and decays them
            group |= {"decay": 0.0, "weight_decay": decay}
        group["ratio"] = lr_ratio(stage, name)  # only: lr_ratios or layer_decay
        # only: aux_lr_ratio
        if group["kind"] != next(iter(stage["optimizers"])):
            group["ratio"] = stage["rest_lr_ratio"] * group.get("ratio", 1.0)
        # only: counted
        for count, start in COUNTS.get(group["kind"], {}).items():
            group[count] = state.get(name, {}).pop(count, start)
        group = groups.setdefault(tuple(group.values()), group | {"members": {}})
        group["members"][name] = p
    optimizers = []
    for group in groups.values():
        group["params"] = [*group["members"].values()]
        make, settings = OPTIMIZERS[group["kind"]], stage["optimizers"][group["kind"]]
        optimizers.append(make([group], **settings))
        # only: handed
        kept = {p: state[name] for name, p in group["members"].items() if name in state}
        optimizers[-1].state.update(kept)  # only: handed
    return optimizers


def hand_over(optimizers: list[Optimizer], before: Stage, stage: Stage) -> State:
    """What is kept of the state of each parameter."""
    kept = {}
    for optimizer in optimizers:
        (group,) = optimizer.param_groups
        for name, p in group["members"].items():
            slots = optimizer.state[p]
            # only: counted or converted or soap_to_soap or cuda
            way = group["kind"], kind_of(stage, name, p)
            # only: counted
            slots |= {count: group[count] for count in COUNTS.get(way[0], {})}
            new = stage["optimizers"][way[1]]  # only: converted or soap_to_soap
            if way[0] != way[1]:  # only: converted
                slots = convert(slots, p, way, before["optimizers"][way[0]], new)
            if way == ("soap", "soap"):  # only: soap_to_soap
                names = ("precondition_frequency", "shampoo_beta")
                slots |= {name: new[name] for name in names}
            # only: cuda
            if "step" in slots and way[1] in ("adam", "adamw", "nadamw"):
                # Fused kernels want it beside the weights, others on the CPU.
                place = "cpu" if way[1] == "nadamw" else DEVICE
                slots["step"] = slots["step"].to(place)
            kept[name] = slots
    return kept


def convert(slots: Stage, p: Tensor, way: Way, old: Stage, new: Stage) -> Stage:
    """State for another optimizer: what means the same in both."""
    # only: to_muon or to_lion or to_sgd_nesterov or to_soap or squares_lost
    mean = slots.get("exp_avg")  # of gradients
    mean = slots.get("momentum_buffer", mean)  # only: from_muon or from_sgd_nesterov
    if way[0] == "sgd_nesterov":  # only: from_sgd_nesterov
        mean = mean * (1 - old["momentum"])
    if way[1] == "muon":  # only: to_muon
        return {"momentum_buffer": mean}
    if way[1] == "lion":  # only: to_lion
        return {"exp_avg": mean}
    if way[1] == "sgd_nesterov":  # only: to_sgd_nesterov
        return {"momentum_buffer": mean / (1 - new["momentum"])}
    # only: squares_lost and squares_kept
    if way[0] not in ("lion", "muon", "sgd_nesterov", "soap") and way[1] != "soap":
        return with_squares(slots, p, way, new)
    # only: squares_kept and not squares_lost and to_soap
    if way[1] != "soap":
        return with_squares(slots, p, way, new)
    # only: squares_kept and not squares_lost and not to_soap
    return with_squares(slots, p, way, new)
    # Beside empty squares a mean would make far too large steps.  # only: squares_lost
    first = mean * (1 - new["betas"][0])  # only: to_soap or squares_lost
    if way[1] == "soap":  # only: to_soap and squares_lost
        return {"exp_avg": first, "step": 1}
    return {"exp_avg": first, "step": 1}  # only: to_soap and not squares_lost
    squares = mean.square() * (1 - new["betas"][1])  # only: squares_lost
    # only: squares_lost and to_nadamw
    kept = {"step": torch.tensor(1.0), "exp_avg": first, "exp_avg_sq": squares}
    if "momentum_decay" in new:  # only: squares_lost and to_nadamw
        kept["mu_product"] = momentum_product(new, 1)
    return kept  # only: squares_lost and to_nadamw
    # only: squares_lost and not to_nadamw
    return {"step": torch.tensor(1.0), "exp_avg": first, "exp_avg_sq": squares}


def with_squares(slots: Stage, p: Tensor, way: Way, new: Stage) -> Stage:
    """Both moments and their count, between optimizers that mean the same by them."""
    kept = {slot: slots[slot] for slot in ("step", "exp_avg_sq")}
    kept["exp_avg"] = slots["exp_avg"]  # only: not from_sf_adamw
    kept["exp_avg"] = slots.get("exp_avg", torch.zeros_like(p))  # only: from_sf_adamw
    if way[0] == "sf_adamw":  # only: from_sf_adamw
        kept["step"] = torch.tensor(float(kept["step"]))
    if way[1] == "sf_adamw":  # only: to_sf_adamw
        del kept["exp_avg"]  # its weights hold the mean, as their distance from z
        kept |= {"z": p.detach().clone(), "step": int(kept["step"])}
    if way[1] == "ademamix":  # only: to_ademamix
        kept |= {"exp_avg_slow": torch.zeros_like(p), "step": int(kept["step"])}
    if way[1] == "nadamw":  # only: to_nadamw
        kept["mu_product"] = momentum_product(new, int(kept["step"]))
    return kept


def momentum_product(settings: Stage, step: int) -> Tensor:
    """NAdam's product of momenta after so many steps."""
    beta1, decay = settings["betas"][0], settings["momentum_decay"]
    factors = (1 - 0.5 * 0.96 ** (i * decay) for i in range(1, step + 1))
    return torch.tensor(math.prod(beta1 * factor for factor in factors))


@torch.no_grad()
def keep_average(model: nn.Module, before: Stage, stage: Stage, state: State) -> None:
    """Move the weights of schedule-free AdamW to a new beta1; their average stays."""
    both = [each["optimizers"].get("sf_adamw", {}) for each in (before, stage)]
    old, new = (settings.get("betas", [1.0])[0] for settings in both)
    for name, p in model.named_parameters():
        if p.requires_grad and "z" in state.get(name, {}) and all(both) and old != new:
            z = state[name]["z"]
            p.copy_(z + (p - z) * (new / old))
