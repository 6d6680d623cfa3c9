"""mbo-search: search in which stages, and with which strategy in each, to train a language model.

    import mbo_search as mbo

    study = mbo.load_study("study.yaml")
    run = mbo.search(study, out="reports/mine")
    print(run.verdict)
    run.best.save("best.yaml")

The names below are the public interface; everything else is internal. They are loaded when they are first used, so
that the import itself loads neither torch nor ray, optuna, pandas or plotly.

The package is read in one direction, describe to tell: `study` describes, `data` reads, `model` and `optim` build,
`train` learns, `results` remembers, `engine` decides, `report` and `export` tell; `api` is the door.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mbo_search.advising.advice import Advice
    from mbo_search.api.advising import advise
    from mbo_search.api.comparisons import Comparison, compare
    from mbo_search.api.judgements import judge, measure_noise
    from mbo_search.api.options import Options
    from mbo_search.api.plans import plan
    from mbo_search.api.runs import Run, load_run
    from mbo_search.api.searches import confirm, fork, resume, search
    from mbo_search.api.studies import load_study
    from mbo_search.errors import MboError, UserError
    from mbo_search.extensions import register
    from mbo_search.judging.judgement import Judgement
    from mbo_search.judging.question import JudgeQuestion
    from mbo_search.study.spec.schedule import Schedule
    from mbo_search.study.study import Study
    from mbo_search.train.foreign.call import SpanCall
    from mbo_search.train.foreign.request import SpanRequest
    from mbo_search.train.foreign.result import SpanResult
    from mbo_search.trial.reports import StageRunner

__version__ = "0.1.0"

__all__ = [
    "Advice",
    "Comparison",
    "JudgeQuestion",
    "Judgement",
    "MboError",
    "Options",
    "Run",
    "Schedule",
    "SpanCall",
    "SpanRequest",
    "SpanResult",
    "StageRunner",
    "Study",
    "UserError",
    "__version__",
    "advise",
    "compare",
    "confirm",
    "fork",
    "judge",
    "load_run",
    "load_study",
    "measure_noise",
    "plan",
    "register",
    "resume",
    "search",
]

_HOMES = {
    "Advice": "mbo_search.advising.advice",
    "Comparison": "mbo_search.api.comparisons",
    "JudgeQuestion": "mbo_search.judging.question",
    "Judgement": "mbo_search.judging.judgement",
    "MboError": "mbo_search.errors",
    "Options": "mbo_search.api.options",
    "Run": "mbo_search.api.runs",
    "Schedule": "mbo_search.study.spec.schedule",
    "SpanCall": "mbo_search.train.foreign.call",
    "SpanRequest": "mbo_search.train.foreign.request",
    "SpanResult": "mbo_search.train.foreign.result",
    "StageRunner": "mbo_search.trial.reports",
    "Study": "mbo_search.study.study",
    "UserError": "mbo_search.errors",
    "advise": "mbo_search.api.advising",
    "compare": "mbo_search.api.comparisons",
    "confirm": "mbo_search.api.searches",
    "fork": "mbo_search.api.searches",
    "judge": "mbo_search.api.judgements",
    "load_run": "mbo_search.api.runs",
    "load_study": "mbo_search.api.studies",
    "measure_noise": "mbo_search.api.judgements",
    "plan": "mbo_search.api.plans",
    "register": "mbo_search.extensions",
    "resume": "mbo_search.api.searches",
    "search": "mbo_search.api.searches",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mbo_search' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
