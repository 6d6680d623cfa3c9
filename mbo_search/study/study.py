"""A study that obeys all rules."""

from __future__ import annotations

from typing import Self

from pydantic import ModelWrapValidatorHandler, model_validator

from mbo_search.errors import StudyError
from mbo_search.study.checks.examine import Examined, examine
from mbo_search.study.space.defaults import with_defaults
from mbo_search.study.spec.study import StudySpec


class Study(StudySpec):
    """The question: data, model, budget, space, and how to search.

    Its sections may be given as values of their classes, or as mappings, lists, numbers and names in the short
    forms of a study file. All types and rules are checked when a study is made, and what it leaves open is filled
    in. Relative paths start at the working directory; whether files exist is checked where they are read.

    Raises:
        StudyError: With every problem found, each with its key path.

    >>> study = Study(
    ...     study="small",
    ...     data={"source": "docs"},
    ...     model={"size": "tiny"},
    ...     budget={"tokens": "400k"},
    ...     train={"batch_tokens": 1024},
    ...     stages=[{"name": "only", "share": 1, "optimizer": ["adamw", "muon"]}],
    ... )
    >>> study.budget.tokens, study.stages[0].lr_shape[0].kind, study.search.trials
    (400000, 'linear', 32)
    """

    @model_validator(mode="wrap")
    @classmethod
    def _obey_rules(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return handler(data)
        examined = data if isinstance(data, Examined) else examine(data)
        if examined.problems or examined.study is None:
            raise StudyError(examined.problems)
        return handler(dict(with_defaults(examined.study)))
