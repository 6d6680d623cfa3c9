"""The cache folder of a machine: prepared data, and on workers of a cluster local copies of nodes."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from pathlib import Path

from mbo_search.errors import Problem, UserError
from mbo_search.system.files import can_be_made

VARIABLE = "MBO_SEARCH_CACHE"
"""Environment variable that names the folder."""

_LOGGER = logging.getLogger(__name__)


def user_cache() -> Path:
    """The user's cache folder.

    `MBO_SEARCH_CACHE`, else `mbo-search` in `XDG_CACHE_HOME`, else `~/.cache/mbo-search`. Where neither can be
    written, as in a container whose user has no home, it is a private folder among the temporary files, and a
    warning says so.

    Raises:
        UserError: If the variable is empty, or no temporary folder can be used either.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return _named(named)
    usual = _usual()
    if usual is not None and can_be_made(usual):
        return usual
    return _temporary(None if usual is None else str(usual))


def _named(name: str) -> Path:
    if not name.strip():
        raise UserError([Problem(key=VARIABLE, rule="is empty", hint="name a folder, or unset the variable")])
    path = Path(name)
    try:
        return path.expanduser()
    except RuntimeError as error:
        rule, hint = "names the home of a user who has none", "write the whole path"
        raise UserError([Problem(key=VARIABLE, value=name, rule=rule, hint=hint)]) from error


def _usual() -> Path | None:
    """The folder by the rules of the desktop; None for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "mbo-search"
    try:
        return Path.home() / ".cache" / "mbo-search"
    except RuntimeError:
        return None


@functools.cache
def _temporary(usual: str | None) -> Path:
    """A folder that no other user can have put there: one of theirs with its name is never entered."""
    try:
        folder = Path(tempfile.gettempdir()) / f"mbo-search-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise _no_place(str(error.strerror or error)) from error
    if folder.is_symlink() or not folder.is_dir() or found.st_uid != os.getuid():
        raise _no_place(f"{folder} belongs to somebody else")
    folder.chmod(0o700)
    why = "this user has no home folder" if usual is None else f"{usual} cannot be written"
    _LOGGER.warning("%s: prepared data are kept in %s; %s names a lasting place", why, folder, VARIABLE)
    return folder


def _no_place(why: str) -> UserError:
    rule = f"is not set, and neither a home nor a temporary folder can be used: {why}"
    return UserError([Problem(key=VARIABLE, rule=rule, hint="name a folder that can be written")])
