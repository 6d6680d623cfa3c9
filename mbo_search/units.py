"""Conversions between units, and numbers and names as people read and write them."""

from __future__ import annotations

import math
import os
import unicodedata

_SUFFIXES = {"k": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_LONG_DAYS = 4
_YEAR_DAYS = 365
_FACTORS = {suffix.lower(): factor for suffix, factor in _SUFFIXES.items()}


def parse_count(text: str | int) -> int:
    """Read a count such as 400000, 400_000, "400k", "2M", "1.5B" or "1e5"; letters may be small or large.

    Raises:
        ValueError: If the text is no count, or not a whole number.

    >>> parse_count("400k"), parse_count("0.1m"), parse_count("1.5B"), parse_count("1e5"), parse_count(7)
    (400000, 100000, 1500000000, 100000, 7)
    """
    if isinstance(text, int):
        return text
    digits, factor = text.strip(), 1
    if digits and digits[-1].lower() in _FACTORS:
        digits, factor = digits[:-1], _FACTORS[digits[-1].lower()]
    value = float(digits) * factor
    if not math.isfinite(value) or abs(value - round(value)) > 1e-6:
        raise ValueError(f"{text!r} is not a whole number")
    return round(value)


def format_count(count: float) -> str:
    """Write a count with three significant digits and a suffix.

    >>> format_count(409_600), format_count(12), format_count(2_000_000)
    ('410k', '12', '2M')
    """
    for suffix, factor in reversed(_SUFFIXES.items()):
        if abs(count) >= factor * 0.9995:
            return f"{count / factor:.3g}{suffix}"
    return f"{count:.0f}"


def format_share(share: float) -> str:
    """Write a share in percent, so that little is never nothing and nearly all is never all.

    >>> [format_share(share) for share in (0.0, 0.0004, 0.034, 0.678, 0.9999, 1.0)]
    ['0 %', '< 0.1 %', '3.4 %', '68 %', '99.9 %', '100 %']
    """
    percent = share * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if percent in (0.0, 100.0):
        return f"{percent:.0f} %"
    return f"{min(percent, 99.9):.1f} %" if percent < 10 or percent >= 99.5 else f"{percent:.0f} %"


def printable(text: str) -> str:
    r"""Write a name or a text in one line that every terminal, file and page can take, whatever is in it.

    Line ends, control characters and characters that turn the writing direction are shown as escapes, and so are
    bytes of a file name that are not UTF-8.

    >>> print(printable("a b\n\x1b[31m"), printable("caf\udce9.txt"))
    a b\n\x1b[31m caf\xe9.txt
    """
    return "".join(letter if _is_shown(letter) else _escaped(letter) for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    try:
        letter.encode()
    except UnicodeEncodeError:
        if "\udc80" <= letter <= "\udcff":
            return f"\\x{os.fsencode(letter)[0]:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def format_bytes(num_bytes: float) -> str:
    """Write a size in binary units.

    >>> format_bytes(3 * 2**20), format_bytes(100)
    ('3.0 MiB', '100 B')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes:.0f} B"


def format_seconds(seconds: float) -> str:
    """Write a duration with its two leading units.

    >>> format_seconds(4.25), format_seconds(75), format_seconds(7322), format_seconds(1e6), format_seconds(1e9)
    ('4.2 s', '1 min 15 s', '2 h 2 min', '11 days 13 h', '32 years')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, days = minutes // 60, minutes // 1440
    if days < _LONG_DAYS:
        return f"{hours} h {minutes % 60} min"
    return f"{days} days {hours % 24} h" if days < 2 * _YEAR_DAYS else f"{days / _YEAR_DAYS:,.0f} years"


def perplexity(loss_nats: float) -> float:
    """Perplexity of a mean loss in nats per token; infinite where the exponential overflows.

    >>> round(perplexity(math.log(32.0)), 6)
    32.0
    """
    return math.exp(loss_nats) if loss_nats < 700 else math.inf


def bits_per_byte(loss_nats: float, bytes_per_token: float) -> float:
    """Convert mean nats per token to bits per UTF-8 byte.

    >>> round(bits_per_byte(math.log(2.0) * 4, 4.0), 6)
    1.0
    """
    return loss_nats / math.log(2.0) / bytes_per_token


def round_significant(value: float, digits: int = 3) -> float:
    """Round to significant digits, so that sampled numbers survive YAML and prefixes can meet.

    >>> round_significant(0.00123456), round_significant(0.0)
    (0.00123, 0.0)
    """
    return float(f"{value:.{digits - 1}e}") if value else 0.0


def format_times(times: tuple[float, float]) -> str:
    """Write how often a text is read at least and at most.

    >>> format_times((0.5, 0.5)), format_times((0.25, 2.0))
    ('0.5 times', '0.25 to 2 times')
    """
    low, high = (f"{number:.3g}" for number in times)
    return f"{low} times" if low == high else f"{low} to {high} times"
