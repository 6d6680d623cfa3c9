"""The places of a batch at which something is asked, on a device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mbo_search.data.batches import IGNORED, Batch
from mbo_search.system.device import Device
from mbo_search.train.device import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A batch of which N targets are asked, row by row.

    Attributes:
        inputs_BT: Token ids, int64.
        targets_N: Those to predict, int64.
        places_N: Where they stand among all places of the batch; None: everywhere.
    """

    inputs_BT: Tensor
    targets_N: Tensor
    places_N: Tensor | None

    def of_asked(self, logits_BTV: Tensor) -> Tensor:
        """The logits of the asked places, [N, V]."""
        logits = logits_BTV.flatten(0, 1)
        return logits if self.places_N is None else logits[self.places_N]


def asked_on_device(batch: Batch, device: Device) -> Asked:
    """Bring a batch to a device; where something is asked is settled on the CPU, so that no GPU is waited for."""
    flat = batch.targets.reshape(-1)
    is_asked = flat != IGNORED
    places = None if is_asked.all() else is_asked.nonzero()[0]
    return Asked(
        inputs_BT=to_device(batch.inputs, device),
        targets_N=to_device(flat if places is None else flat[places], device),
        places_N=None if places is None else to_device(places, device),
    )
