"""Objects of the user's own: found through the entry points of installed packages, or registered in this process.

An optimizer, a regularizer, a learning-rate shape, a searcher, a reader, an exporter, a figure or a logger is one
object with a name. Every kind has an entry-point group, and a `Registry` that holds the built-in objects and the
found ones. Packages are looked at when a name is asked for that is not built in, never at import. A package that
cannot be loaded is named in a warning and left out; a name that is taken is an error that names the package.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Generic, Protocol, TypeVar

from mbo_search.errors import ALLOW_CODE as ALLOW_CODE
from mbo_search.errors import Problem, UserError

OPTIMIZER_GROUP = "mbo_search.optimizers"
REGULARIZER_GROUP = "mbo_search.regularizers"
LR_SHAPE_GROUP = "mbo_search.lr_shapes"
SEARCHER_GROUP = "mbo_search.searchers"
READER_GROUP = "mbo_search.readers"
EXPORTER_GROUP = "mbo_search.exporters"
FIGURE_GROUP = "mbo_search.figures"
LOGGER_GROUP = "mbo_search.loggers"

REFERENCES_VARIABLE = "MBO_SEARCH_EXTENSIONS"
"""Environment variable with the registered objects, as `module:attribute` separated by commas."""

PATH_VARIABLE = "MBO_SEARCH_EXTENSIONS_PATH"
"""Environment variable with the folders in which their modules lie."""

_NEEDED_BY_WORKERS = (OPTIMIZER_GROUP, REGULARIZER_GROUP, LR_SHAPE_GROUP)

BUILT_IN = "built in"
"""Origin of the objects of this package."""

THIS_PROGRAM = "this program"
"""Origin of objects that were registered in this process."""

_LOGGER = logging.getLogger(__name__)


class Extension(Protocol):
    """An object that can be registered: its type says to which group it belongs."""

    group: ClassVar[str]

    @property
    def name(self) -> str:
        """Name by which studies and commands know it."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


ItemT = TypeVar("ItemT", bound=_Named)


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is not built in.

    Attributes:
        value: The object.
        origin: The package that brings it, with its version; or `this program`.
    """

    value: _Named
    origin: str


_REGISTERED: list[Extension] = []


def register(*extensions: Extension | str) -> None:
    """Make objects known in this process and in the worker processes that it starts.

    Args:
        extensions: The objects, or references of the form `module:attribute`.

    Raises:
        UserError: If a reference cannot be imported, or an object is not of a kind that can be registered.
    """
    for extension in extensions:
        value = resolve(extension) if isinstance(extension, str) else extension
        if not isinstance(getattr(type(value), "group", None), str):
            kinds = "optimizer, regularizer, lr_shape, searcher, reader, exporter, figure or logger"
            raise UserError(f"{value!r} is not an {kinds}")
        if not any(known is value for known in _REGISTERED):
            _REGISTERED.append(value)


@contextmanager
def with_extensions(*extensions: Extension | str) -> Iterator[None]:
    """Make objects known for as long as the block lasts."""
    before = list(_REGISTERED)
    try:
        register(*extensions)
        yield
    finally:
        _REGISTERED[:] = before


def discover(group: str) -> tuple[Found, ...]:
    """Find every object of a group that is not built in, those of packages first."""
    of_this_program = [*_from_environment(os.environ.get(REFERENCES_VARIABLE, "")), *_REGISTERED]
    registered = [Found(value, THIS_PROGRAM) for value in of_this_program if type(value).group == group]
    return (*_of_packages(group), *registered)


class Registry(Mapping[str, ItemT], Generic[ItemT]):
    """Objects of one kind by name: the built-in ones, then those of packages, then those of this process."""

    def __init__(self, group: str, kind: type[ItemT], built_in: Mapping[str, ItemT]) -> None:
        self.group = group
        self.built_in = built_in
        self._kind = kind

    def __getitem__(self, name: str) -> ItemT:
        """Return an object by its name; packages are looked at only for names that are not built in."""
        known = self.built_in.get(name)
        return self._extensions()[name][0] if known is None else known

    def __iter__(self) -> Iterator[str]:
        """Names, the built-in ones first."""
        yield from self.built_in
        yield from self._extensions()

    def __len__(self) -> int:
        return len(self.built_in) + len(self._extensions())

    def origin(self, name: str) -> str:
        """Say where an object comes from: `built in`, a package and its version, or `this program`."""
        return BUILT_IN if name in self.built_in else self._extensions()[name][1]

    def _extensions(self) -> dict[str, tuple[ItemT, str]]:
        extensions: dict[str, tuple[ItemT, str]] = {}
        for found in discover(self.group):
            value, name = found.value, getattr(found.value, "name", "")
            if not isinstance(value, self._kind):
                _warn_once(f"{self.group}: {value!r} of {found.origin} is not a {self._kind.__name__}: left out")
                continue
            if name in self.built_in or extensions.get(name, (value,))[0] is not value:
                raise _clash(
                    self.group, name, found.origin, extensions[name][1] if name in extensions else BUILT_IN
                )
            extensions[name] = value, found.origin
        return extensions


def by_name(*items: ItemT) -> Mapping[str, ItemT]:
    """Order objects by their names, for a registry."""
    return MappingProxyType({item.name: item for item in items})


def resolve(reference: str) -> Extension:
    """Import an object by its reference `module:attribute`.

    Raises:
        UserError: If there is no such object.
    """
    module, _, attribute = reference.partition(":")
    try:
        value: Extension = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the module of somebody else raises
        hint = "write module:attribute, and make the module importable by PYTHONPATH"
        raise UserError([Problem(key=reference, rule=f"cannot be imported: {error}", hint=hint)]) from error
    return value


def worker_environment() -> dict[str, str]:
    """Environment variables by which worker processes see the registered objects that they train with.

    Raises:
        UserError: If an object that trains cannot be imported by another process.
    """
    references = dict.fromkeys(
        _reference(value) for value in _REGISTERED if type(value).group in _NEEDED_BY_WORKERS
    )
    allowed = {name: os.environ[name] for name in (ALLOW_CODE,) if name in os.environ}
    if not references:
        inherited_names = (REFERENCES_VARIABLE, PATH_VARIABLE)
        return allowed | {name: os.environ[name] for name in inherited_names if name in os.environ}
    inherited = [reference for reference in os.environ.get(REFERENCES_VARIABLE, "").split(",") if reference]
    folders = dict.fromkeys(_folder(reference) for reference in references)
    inherited_folders = [folder for folder in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if folder]
    return allowed | {
        REFERENCES_VARIABLE: ",".join([*inherited, *references]),
        PATH_VARIABLE: os.pathsep.join([*inherited_folders, *folders]),
    }


@cache
def _warn_once(text: str) -> None:
    _LOGGER.warning("%s", text)


@cache
def _of_packages(group: str) -> tuple[Found, ...]:
    found = (_load(point) for point in sorted(_points().select(group=group), key=lambda point: point.name))
    return tuple(one for one in found if one is not None)


class _Points(Protocol):
    """The entry points of all packages; the standard library's name for them has changed."""

    def select(self, *, group: str) -> EntryPoints: ...


@cache
def _points() -> _Points:
    """Every entry point of this environment; reading the metadata of all packages takes a tenth of a second."""
    return entry_points()


def _load(point: EntryPoint) -> Found | None:
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.module
    try:
        return Found(point.load(), package)
    except Exception as error:  # whatever the package of somebody else raises
        said = "%s: %s of the package %s cannot be loaded and is left out: %s: %s"
        _LOGGER.warning(said, point.group, point.name, package, type(error).__name__, error)
        return None


@cache
def _from_environment(references: str) -> tuple[Extension, ...]:
    for folder in os.environ.get(PATH_VARIABLE, "").split(os.pathsep):
        if folder and folder not in sys.path:
            sys.path.append(folder)
    return tuple(resolve(reference) for reference in references.split(",") if reference)


def _reference(value: Extension) -> str:
    """Find the module that holds an object under a name of its own."""
    for module_name, module in tuple(sys.modules.items()):
        if module_name != "__main__" and getattr(module, "__dict__", None):
            for attribute, held in tuple(vars(module).items()):
                if held is value:
                    return f"{module_name}:{attribute}"
    rule = "cannot be imported by worker processes"
    hint = "assign it to a name at the top of a module other than the script that runs"
    raise UserError([Problem(key=value.name, rule=rule, hint=hint)])


def _folder(reference: str) -> str:
    """Folder that has to be on the path for a module to be importable."""
    module = reference.partition(":")[0]
    file = Path(sys.modules[module].__file__ or "").resolve()
    depth = module.count(".") + (file.name == "__init__.py")
    return str(file.parents[depth])


def _clash(group: str, name: str, origin: str, other: str) -> UserError:
    rule = (
        f"is a name that is taken: {origin} brings it, and so does {'mbo-search' if other == BUILT_IN else other}"
    )
    return UserError([Problem(key=group, value=name, rule=rule, hint=f"rename it in {origin}, or remove one")])
