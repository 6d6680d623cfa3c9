"""Hand-over table: the optimizer state that survives a change of optimizer, as data.

A row says, for the parameters that the two optimizers themselves update, which slots of the old state become which
slots of the new one. Whatever a row does not name starts at zero, and so does the step count unless `step` is
named, because moments without their step would be bias-corrected wrongly. A matrix optimizer (muon, soap) leaves
embeddings, head and one-dimensional parameters to AdamW; between such an optimizer and an Adam-like one those
parameters follow the Adam-like row. Pairs without a row can only be reset.

Slots carry the names that torch and pytorch-optimizer give them, with one `step` for the count wherever the library
keeps it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mbo_search.study.catalogue.optimizers import OPTIMIZERS

Conversion = Literal[
    "copy", "mean_to_sum", "mean_to_gradient", "sum_to_gradient", "row_means", "column_means", "of_vectors"
]
"""Change of the numbers on the way. `mean_to_sum` divides by 1 - momentum of the new stage, where a running mean of
gradients becomes SGD's running sum. `mean_to_gradient` lets the mean count as the first gradient that the new
optimizer sees, in both of its moments and in its step count: a first moment beside an empty second one would be
divided by too little, and its bias corrected by up to 1 / (1 - beta1). `sum_to_gradient` does the same with SGD's
running sum, times 1 - momentum of the old stage. `row_means` and `column_means` are those of a matrix's second
moments, and `of_vectors` copies those of everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedSlot:
    """One piece of state that survives.

    Attributes:
        source: Slot of the old optimizer.
        target: Slot of the new one.
        conversion: How its numbers change on the way.
    """

    source: str
    target: str
    conversion: Conversion = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverRow:
    """State carried from one optimizer to another.

    Attributes:
        carried: Slots that survive; empty with `everything`.
        second_moments: Whether every second moment that the new optimizer keeps arrives with its step; if not, the
            new stage needs a re-warm-up. True where the new optimizer keeps none.
        everything: The same optimizer continues: all slots, the step included.
    """

    carried: tuple[CarriedSlot, ...] = ()
    second_moments: bool
    everything: bool = False


def _same(name: str) -> CarriedSlot:
    return CarriedSlot(source=name, target=name)


_FIRST = _same("exp_avg")
_SECOND = _same("exp_avg_sq")
_STEP = _same("step")
_AS_FIRST_GRADIENT = CarriedSlot(source="exp_avg", target="exp_avg", conversion="mean_to_gradient")
_FULL = HandOverRow(second_moments=True, everything=True)

_ADAM_TO_ADAM = HandOverRow(carried=(_FIRST, _SECOND, _STEP), second_moments=True)
"""NAdam's `mu_product` is not a slot of its own here: it follows from beta1 and the carried step."""

_ADAM_TO_ADEMAMIX = HandOverRow(carried=(_FIRST, _SECOND, _STEP), second_moments=True)
"""The slow mean starts at zero, and its warm-up starts again."""

_ADAM_TO_SCHEDULE_FREE = HandOverRow(carried=(_SECOND, _STEP), second_moments=True)
"""z starts at the weights and the averaging starts again; the step only corrects the second moment's bias."""

_SCHEDULE_FREE_TO_ADAM = HandOverRow(carried=(_SECOND, _STEP), second_moments=True)

_ADAM_TO_LION = HandOverRow(carried=(_FIRST,), second_moments=True)
_LION_TO_ADAM = HandOverRow(carried=(_AS_FIRST_GRADIENT,), second_moments=False)

_ADAM_TO_SGD = HandOverRow(
    carried=(CarriedSlot(source="exp_avg", target="momentum_buffer", conversion="mean_to_sum"),),
    second_moments=True,
)
_SGD_TO_ADAM = HandOverRow(
    carried=(CarriedSlot(source="momentum_buffer", target="exp_avg", conversion="sum_to_gradient"),),
    second_moments=False,
)

_ADAM_TO_MUON = HandOverRow(carried=(CarriedSlot(source="exp_avg", target="momentum_buffer"),), second_moments=True)
_MUON_TO_ADAM = HandOverRow(
    carried=(CarriedSlot(source="momentum_buffer", target="exp_avg", conversion="mean_to_gradient"),),
    second_moments=False,
)

_ADAM_TO_SOAP = HandOverRow(carried=(_AS_FIRST_GRADIENT,), second_moments=False)
_SOAP_TO_ADAM = HandOverRow(carried=(_AS_FIRST_GRADIENT,), second_moments=False)
"""SOAP keeps the first moment in the original basis, the second one in the rotated basis."""


_ADAM_TO_ADAFACTOR = HandOverRow(
    carried=(
        CarriedSlot(source="exp_avg_sq", target="row_var", conversion="row_means"),
        CarriedSlot(source="exp_avg_sq", target="col_var", conversion="column_means"),
        CarriedSlot(source="exp_avg_sq", target="variance", conversion="of_vectors"),
        _STEP,
    ),
    second_moments=True,
)

_MUON_TO_MUON = HandOverRow(carried=(_same("momentum_buffer"),), second_moments=True)
"""Both keep a running mean of gradients, whatever they do to the norms."""

_FAMILY_ROWS: Mapping[tuple[str, str], HandOverRow] = MappingProxyType(
    {
        ("adam", "adam"): _ADAM_TO_ADAM,
        ("adam", "adafactor"): _ADAM_TO_ADAFACTOR,
        ("adam", "ademamix"): _ADAM_TO_ADEMAMIX,
        ("adam", "schedule_free"): _ADAM_TO_SCHEDULE_FREE,
        ("schedule_free", "adam"): _SCHEDULE_FREE_TO_ADAM,
        ("adam", "sign"): _ADAM_TO_LION,
        ("sign", "adam"): _LION_TO_ADAM,
        ("adam", "sgd"): _ADAM_TO_SGD,
        ("sgd", "adam"): _SGD_TO_ADAM,
        ("adam", "muon"): _ADAM_TO_MUON,
        ("muon", "adam"): _MUON_TO_ADAM,
        ("muon", "muon"): _MUON_TO_MUON,
        ("adam", "soap"): _ADAM_TO_SOAP,
        ("soap", "adam"): _SOAP_TO_ADAM,
    }
)
"""State carried between different optimizers, by what it means in each."""


def hand_over_row(previous: str, following: str) -> HandOverRow | None:
    """Return the row of a pair of optimizers; None where nothing can be carried."""
    before, after = OPTIMIZERS.get(previous), OPTIMIZERS.get(following)
    if before is None or after is None:
        return None
    return _FULL if previous == following else _FAMILY_ROWS.get((before.family, after.family))


def hand_over_table(names: Iterable[str]) -> dict[tuple[str, str], HandOverRow]:
    """Return every row between optimizers of these names."""
    pairs = itertools.product(tuple(names), repeat=2)
    rows = {(previous, following): hand_over_row(previous, following) for previous, following in pairs}
    return {pair: row for pair, row in rows.items() if row is not None}


def can_carry(previous: str, following: str) -> bool:
    """Return whether any state survives a change of optimizer.

    >>> can_carry("adamw", "muon"), can_carry("muon", "soap")
    (True, False)
    """
    return hand_over_row(previous, following) is not None


def carries_second_moments(previous: str, following: str) -> bool:
    """Return whether the following optimizer's second moments, if any, arrive with their step.

    >>> carries_second_moments("adamw", "nadamw"), carries_second_moments("muon", "adamw")
    (True, False)
    """
    row = hand_over_row(previous, following)
    return row is not None and row.second_moments
