"""Reading a small text file of the user's, with every way in which it may not be one."""

from __future__ import annotations

from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.files.yaml_document import MAX_BYTES


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        StudyError: If it is missing, a folder, unreadable, too large, or no UTF-8 text.
    """
    where = str(path)
    if path.is_dir():
        raise _error(where, "is a folder; a file is needed")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _error(
            where, "does not exist", "check the path; `mbo-search init` writes a study to begin with"
        ) from None
    except OSError as error:
        raise _error(where, f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _error(where, f"is larger than {MAX_BYTES // 1024} KiB, which no study file needs")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise _error(f"{where}:{line}:{column}", "is not UTF-8 text", "save the file as UTF-8") from None


def _error(where: str, rule: str, hint: str = "") -> StudyError:
    return StudyError([Problem(key="", rule=rule, hint=hint, where=where)])
