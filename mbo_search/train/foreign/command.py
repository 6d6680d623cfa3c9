"""A command as the trainer of one span: documents and folders on one side of a process, JSON lines on the other.

The process gets its request by environment variables that name files. It is started without a shell, in a session
of its own, so that a Ctrl-C in the terminal reaches it only as the request to stop that it is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mbo_search.errors import TrialError
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.system.end_with_parent import ending_with_parent
from mbo_search.train.foreign.attempts import REPORT_FILE, read_lines
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.family import end_family
from mbo_search.train.foreign.result import RESULT_FILE, SpanResult, wrong_fields
from mbo_search.units import format_seconds

STAGE = "MBO_STAGE"
STATE_IN = "MBO_STATE_IN"
STATE_OUT = "MBO_STATE_OUT"
PARTIAL = "MBO_PARTIAL"
REPORT = "MBO_REPORT"
RESULT = "MBO_RESULT"
SEED = "MBO_SEED"

GRACE_SECONDS = 60.0
"""Time within which a process that was asked to stop must have saved and ended."""

_FIRST_POLL_SECONDS = 0.002
_LONGEST_POLL_SECONDS = 0.2
_TAIL_BYTES = 4000


@dataclass(slots=True)
class CommandTrainer:
    """Trains spans by a command.

    Attributes:
        runner: The command.
        log: File that takes its output.
        hang_seconds: Time without a line, an output or an end after which it is ended.
    """

    runner: RunnerSpec
    log: Path
    hang_seconds: float

    def __call__(self, call: SpanCall) -> SpanResult | None:
        """Train a span; None if it was asked to stop.

        Raises:
            TrialError: If the command fails, hangs, or leaves no result.
        """
        files = _Files(call.partial.parent)
        if files.process.exists():  # an attempt was stopped or killed, and may have left processes
            end_family(PARTIAL, str(call.partial))
        files.forget()
        files.request.write_text(call.request.model_dump_json(), encoding="utf-8")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            began_at = output.tell()
            process = self._start(call, files, output.fileno())
            try:
                files.note(process)
                is_stopped = self._watch(call, files, process)
            finally:
                _end(process)
                if process.returncode or not files.result.exists():
                    end_family(PARTIAL, str(call.partial))
        if is_stopped:
            return None
        if process.returncode:
            raise TrialError("exception", self._failure(process.returncode, began_at))
        return _result(files, self._tail(began_at))

    def _start(self, call: SpanCall, files: _Files, output: int) -> subprocess.Popen[bytes]:
        variables = {
            STAGE: files.request,
            STATE_IN: call.state_in or "",
            STATE_OUT: call.state_out,
            PARTIAL: call.partial,
            REPORT: files.report,
            RESULT: files.result,
            SEED: call.request.seed,
        }
        try:
            return subprocess.Popen(
                self.runner.words,
                cwd=self.runner.folder,
                env=os.environ | {name: str(value) for name, value in variables.items()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ending_with_parent(),
            )
        except OSError as error:
            raise TrialError("exception", f"{self.runner.words[0]} cannot be started: {error}") from error

    def _watch(self, call: SpanCall, files: _Files, process: subprocess.Popen[bytes]) -> bool:
        """Pass on what a process reports until it ends; True if it was asked to stop before.

        Raises:
            TrialError: If it hangs.
        """
        offset, pause, signs = 0, _FIRST_POLL_SECONDS, _Signs(files.report, self.log)
        while True:
            is_over = process.poll() is not None
            offset = _pass_on(call, files.report, offset)
            if is_over:
                return False
            if call.should_stop():
                _ask_to_end(process)
                _pass_on(call, files.report, offset)
                return True
            if signs.silent_seconds() > self.hang_seconds:
                silence = format_seconds(self.hang_seconds)
                raise TrialError("hung", f"the command said nothing for {silence}, and was ended")
            _wait(process, pause)
            pause = min(_LONGEST_POLL_SECONDS, 1.5 * pause)

    def _failure(self, code: int, began_at: int) -> str:
        ending = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            ending += ", as the system does when memory runs out"
        return f"the command {ending}; its last output:\n{self._tail(began_at)}"

    def _tail(self, began_at: int) -> str:
        with self.log.open("rb") as output:
            end = output.seek(0, os.SEEK_END)
            output.seek(max(began_at, end - _TAIL_BYTES))
            return output.read(_TAIL_BYTES).decode("utf-8", errors="replace").strip()


class _Files:
    """Files of one span's process."""

    def __init__(self, folder: Path) -> None:
        self.request = folder / "stage.json"
        self.report = folder / REPORT_FILE
        self.result = folder / RESULT_FILE
        self.process = folder / "process.json"

    def forget(self) -> None:
        """Remove what an attempt before this one left."""
        for path in (self.request, self.report, self.result, self.process):
            path.unlink(missing_ok=True)
        self.report.touch()

    def note(self, process: subprocess.Popen[bytes]) -> None:
        """Note which process trains here: for people, and for an attempt after a crash, that there was one."""
        self.process.write_text(json.dumps({"pid": process.pid}), encoding="utf-8")


class _Signs:
    """Signs of life of a process: files that grow."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        self._sizes: tuple[int, ...] = ()
        self._last = time.monotonic()

    def silent_seconds(self) -> float:
        """Time since one of the files grew."""
        sizes = tuple(file.stat().st_size for file in self._files if file.exists())
        if sizes != self._sizes:
            self._sizes, self._last = sizes, time.monotonic()
        return time.monotonic() - self._last


def _pass_on(call: SpanCall, report: Path, offset: int) -> int:
    """Pass on the whole lines behind a place in a report, and return the place behind them."""
    try:
        end = report.stat().st_size
    except OSError:
        return offset
    if end <= offset:
        return offset
    with report.open("rb") as file:
        file.seek(offset)
        whole = file.read(end - offset).rpartition(b"\n")[0]
    for line in read_lines(report, offset, len(whole) + 1) if whole else ():
        call.tell(line)
    return offset + len(whole) + 1 if whole else offset


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to save and end, and wait for it as long as that may take."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for a time, or for the end of a process where the system tells of it at once."""
    try:
        file = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        time.sleep(seconds)
        return
    try:
        select.select([file], [], [], seconds)
    finally:
        os.close(file)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, at once."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _result(files: _Files, tail: str) -> SpanResult:
    """What a command that ended well has left.

    Raises:
        TrialError: If that is no result.
    """
    try:
        return SpanResult.model_validate(json.loads(files.result.read_text(encoding="utf-8")))
    except FileNotFoundError:
        found = f"the command ended without writing the file that {RESULT} names; its last output:\n{tail}"
    except ValidationError as error:
        found = f"{RESULT_FILE} of the command is no result: {wrong_fields(error)}"
    except (OSError, ValueError) as error:
        found = f"{RESULT_FILE} of the command cannot be read: {error}"
    raise TrialError("exception", found)
