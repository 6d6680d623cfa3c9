"""Decay towards the weights that training started from, whichever stage asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mbo_search.model.build import build_model
from mbo_search.model.language_model import LanguageModel
from mbo_search.optim.regularizers import NoiseSeed, RegularizerHooks


class L2Sp(RegularizerHooks):
    """Coupled decay towards the start: add the strength times (weight - first weight) to every gradient.

    The first weights are those of the schedule's beginning, not of the stage: of the pretrained folder, or of the
    seed. They follow from the model's description, so they are built again and no state holds them. Parameters that
    the model did not begin with, such as adapters, decay towards zero.

    References:
        Li, Grandvalet & Davoine 2018, Explicit Inductive Bias for Transfer Learning, arXiv:1802.01483. Coupled, as
        in the paper: the gradient of a penalty, which Adam-like optimizers divide by their second moments. Differs
        from the paper: one strength for parameters with and without a first weight.
    """

    def begin(self, model: nn.Module) -> None:
        """Note which parameter has which name; the first weights are read when a gradient needs them."""
        assert isinstance(model, LanguageModel)
        self._model = model
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        self._first: dict[nn.Parameter, Tensor | None] = {}

    def on_gradients(self, parameters: Sequence[nn.Parameter], noise: NoiseSeed) -> None:
        """Add the way back to the first weights."""
        missing = [parameter for parameter in parameters if parameter not in self._first]
        if missing:
            self._first |= self._read_first(missing, noise.seed)
        for parameter in parameters:
            if parameter.grad is not None:
                first = self._first[parameter]
                way = parameter if first is None else parameter - first
                parameter.grad.add_(way, alpha=self.strength)

    def _read_first(self, parameters: Sequence[nn.Parameter], seed: int) -> dict[nn.Parameter, Tensor | None]:
        """Build the model as training found it, and keep of it what is asked for."""
        start = dict(build_model(self._model.spec, self._model.vocab_size, seed).named_parameters())
        found = {parameter: start.get(self._names[parameter]) for parameter in parameters}
        return {
            parameter: None if first is None else first.detach().to(parameter) for parameter, first in found.items()
        }
