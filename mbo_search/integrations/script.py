"""For scripts that a study runs as a command: the call that they are to answer, found in their environment.

    from mbo_search.integrations.script import answer, open_call

    call = open_call()
    ...                              # train call.request, from call.state_in to call.state_out
    answer({"val_loss": loss})

A script needs none of this: the request is a JSON document, reports are JSON lines, and the result is a JSON file.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from mbo_search.errors import MboError
from mbo_search.system.files import read_json, write_atomic
from mbo_search.train.foreign.call import SpanCall, TrainingFunction
from mbo_search.train.foreign.command import PARTIAL, REPORT, RESULT, STAGE, STATE_IN, STATE_OUT
from mbo_search.train.foreign.request import SpanRequest
from mbo_search.train.foreign.result import ReportLine, SpanResult


def open_call(environment: Mapping[str, str] = os.environ, *, rank: int = 0) -> SpanCall:
    """Find the call that this process is to answer.

    A termination signal makes `should_stop` true from then on; the script then saves into `partial` and ends
    without a result.

    Args:
        environment: Where its files are named.
        rank: Number of this process among several that train together; only process 0 writes reports.

    Raises:
        MboError: If the process was not started by a study.
    """
    if STAGE not in environment:
        hint = "a study starts it: runner: {command: python train.py}"
        raise MboError(f"{STAGE} is not set: this script answers calls of `mbo-search run` ({hint})")
    return SpanCall(
        request=SpanRequest.model_validate(read_json(Path(environment[STAGE]))),
        state_in=Path(environment[STATE_IN]) if environment.get(STATE_IN) else None,
        state_out=Path(environment[STATE_OUT]),
        partial=Path(environment[PARTIAL]),
        _tell=_writer(Path(environment[REPORT])) if rank == 0 else _tell_nobody,
        _stop=_listen(),
    )


def answer(
    result: SpanResult | Mapping[str, object] | float, environment: Mapping[str, str] = os.environ
) -> SpanResult:
    """Write the result of a call, as the last thing that a script does.

    Args:
        result: The result, its fields by name, or the validation loss alone.
        environment: Where its file is named.

    Returns:
        The result in its long form.
    """
    fields = {"val_loss": result} if isinstance(result, int | float) else result
    found = fields if isinstance(fields, SpanResult) else SpanResult.model_validate(fields)
    write_atomic(Path(environment[RESULT]), found.model_dump_json())
    return found


def answer_with(train: TrainingFunction) -> None:
    """Answer the call of this process by a training function: all that a script of one function needs.

        if __name__ == "__main__":
            answer_with(train)

    Args:
        train: The function; where it was stopped it returns None, and nothing is answered.
    """
    result = train(open_call())
    if result is not None:
        answer(result)


def _writer(report: Path) -> Callable[[ReportLine], None]:
    """Make a function that appends lines to a report."""
    file = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def write(line: ReportLine) -> None:
        os.write(file, (line.model_dump_json(exclude_none=True) + "\n").encode())

    return write


def _tell_nobody(line: ReportLine) -> None:
    """Write nothing."""


def _listen() -> Callable[[], bool]:
    """Make a function that says whether a termination signal has come."""
    is_asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True

    signal.signal(signal.SIGTERM, note)
    return lambda: is_asked
