"""Programs that each run in a fork of one process: loading the libraries takes longer than most commands do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

MBO = "from mbo_search.cli import main; main()"
"""The program that is asked for a command of the command line."""

_PARENT = """
import gc, importlib, json, os, sys, tempfile, traceback
for library in sys.argv[1:]:
    importlib.import_module(library)
gc.freeze()
for line in sys.stdin:
    program, arguments, folder = json.loads(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            code = 0
            try:
                os.chdir(folder)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.argv = ["mbo-search", *arguments]
                exec(compile(program, "<asked>", "exec"), {"__name__": "__main__"})
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # an ordinary end takes the libraries down one by one, which takes a second
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    print(json.dumps([code, *said]), flush=True)
"""


class Forks:
    """A process that has loaded the libraries and runs programs in forks of itself."""

    def __init__(self, parent: subprocess.Popen[str], folder: Path) -> None:
        self._parent, self._folder = parent, folder

    def run(
        self, arguments: Sequence[object], *, program: str = MBO, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program with arguments, in the folder of the parent unless another is named."""
        asked = [program, [str(argument) for argument in arguments], str(folder or self._folder)]
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked) + "\n")
        self._parent.stdin.flush()
        answer = self._parent.stdout.readline()
        assert answer, "the parent of the forks has ended"
        code, out, err = json.loads(answer)
        return subprocess.CompletedProcess(asked[1], code, out, err)


@contextmanager
def forks(
    python: Sequence[str], folder: Path, environment: Mapping[str, str], libraries: Sequence[str]
) -> Iterator[Forks]:
    """Start the process, which ends with the block.

    Args:
        python: The words that start Python, such as another user's.
        folder: Where it starts.
        environment: Its variables.
        libraries: What it loads.

    Yields:
        Runs programs in its forks.
    """
    command = [*python, "-P", "-c", _PARENT, *libraries]
    with subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        yield Forks(parent, folder)
        parent.communicate()
