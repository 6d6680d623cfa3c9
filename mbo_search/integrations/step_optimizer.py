"""A staged model as one `torch.optim.Optimizer`, for trainers that want to call `step` themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mbo_search.integrations.stages import StagedModel
from mbo_search.integrations.state_folder import SavedStages


class StepOptimizer(Optimizer):
    """Clips, updates, and regularizes as the stage in force asks for; its parameters and rates are for show."""

    def __init__(self, staged: StagedModel) -> None:
        self._staged = staged
        super().__init__(list(staged.learning.parameters()), {"lr": 1.0})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step of the stage in force from the gradients that are there, or that a closure computes."""
        found = None if closure is None else closure()
        self._staged.update()
        return found

    def state_dict(self) -> dict[str, Any]:
        """The state of the stage in force; empty before the first step."""
        if not self._staged.has_stage:
            return {"state": {}, "param_groups": [], "averages": {}, "stages": ""}
        saved, tensors, averages = self._staged.export_state()
        stages = json.dumps(saved.model_dump(mode="json"), sort_keys=True)
        return {"state": tensors, "param_groups": [], "averages": averages, "stages": stages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from such a state."""
        if state_dict["stages"]:
            saved = SavedStages.model_validate_json(state_dict["stages"])
            self._staged.import_state(saved, state_dict["state"], state_dict["averages"])


def shown_rates(optimizer: StepOptimizer, staged: StagedModel) -> LambdaLR:
    """A scheduler whose rate is that of the next step: what a trainer writes into its logs."""
    request = staged.request
    return LambdaLR(optimizer, lambda _: request.lr(min(staged.step, request.last_step - 1)))
