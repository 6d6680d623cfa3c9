"""How many weights of a pretrained model learn, told from its configuration alone."""

from __future__ import annotations

from mbo_search.model.adapters import num_adapter_weights
from mbo_search.model.blocks import trainable_names
from mbo_search.model.hub_config import empty_network, pretrained_config
from mbo_search.study.spec.adapters import Adapter, LoraSpec
from mbo_search.study.spec.pretrained import PretrainedModel
from mbo_search.study.spec.schedule import LORA

_KEY = "model.pretrained"


class LearningWeights:
    """The weights of a pretrained model and of its largest adapters, counted block by block."""

    def __init__(self, spec: PretrainedModel, lora: LoraSpec | None) -> None:
        config = pretrained_config(spec.pretrained, spec.layers)
        self._network = empty_network(config, _KEY, spec.pretrained)
        self._sizes = {name: parameter.numel() for name, parameter in self._network.named_parameters()}
        adapters = () if lora is None else tuple(_largest(lora, targets) for targets in lora.targets)
        self.in_adapters = max((num_adapter_weights(self._network, one) for one in adapters), default=0)

    def of(self, expression: str) -> int:
        """Weights that blocks joined by `+` name; those of adapters in some layers count as those in all."""
        blocks = {block.strip() for block in expression.split("+")}
        beside = "+".join(sorted(blocks - {LORA}))
        weights = sum(self._sizes[name] for name in trainable_names(self._network, beside)) if beside else 0
        reaches_adapters = any(block in (LORA, "all") or block.startswith("layers:") for block in blocks)
        return weights + (self.in_adapters if reaches_adapters else 0)


def _largest(lora: LoraSpec, targets: str) -> Adapter:
    return Adapter(rank=max(lora.rank), alpha=1.0, targets=targets)
