"""The machines that trials run on, and where the states between stages are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt

from mbo_search.study.spec import forms
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.sections.values import Auto, SuffixedCount


class StoreSpec(Description):
    """The stage store.

    Attributes:
        limit: Most bytes that cached nodes may take; `auto`: half of the free space, and no limit at a URL.
        url: A shared folder or an S3-compatible URL instead of the run directory; without credentials.
    """

    limit: (
        Annotated[
            StrictInt,
            BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(ge=0)] | SuffixedCount),
        ]
        | Auto
    ) = "auto"
    url: str | None = None


class ResourcesSpec(Description):
    """Machines that trials run on.

    Attributes:
        workers: Trials that run at once.
        gpus_per_trial: Whole or fractional GPUs of one trial, or of each of its workers.
        workers_per_trial: Processes that train one trial together, each its part of every batch.
        hang_minutes: Running time without a step after which a trial hangs and is ended.
        store: The stage store.
    """

    workers: StrictInt | Auto = "auto"
    gpus_per_trial: StrictFloat | Auto = "auto"
    workers_per_trial: StrictInt = Field(default=1, ge=1, le=1024)
    hang_minutes: StrictFloat = Field(default=10.0, gt=0, le=1_000_000)
    store: StoreSpec = StoreSpec()
