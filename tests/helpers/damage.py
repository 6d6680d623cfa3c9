"""Documents with something wrong deep inside, for tests of what reads them."""

from __future__ import annotations

__all__ = ["changed_somewhere"]


def changed_somewhere(document: object, way: list[int], value: object) -> object:
    """The document with one value deep inside replaced; `way` counts round at each level."""
    if not way or not isinstance(document, dict | list | tuple) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[way[0] % len(keys)]
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[key] = changed_somewhere(document[key], way[1:], value)
    return copy
