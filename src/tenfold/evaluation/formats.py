"""How the report writes numbers for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_MISSING = "\u2013"


def percent(value: float | None, decimals: int = 2) -> str:
    """Write a share as a percentage.

    >>> percent(0.98765)
    '98.77 %'
    """
    if value is None or math.isnan(value):
        return _MISSING
    return f"{100 * value:.{decimals}f} %"


def decimal(value: float | None, decimals: int = 4) -> str:
    """Write a number with a fixed count of decimals.

    >>> decimal(0.5)
    '0.5000'
    """
    return _MISSING if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def seconds(value: float) -> str:
    """Write a duration in the unit that suits it.

    >>> seconds(0.0123), seconds(4.56), seconds(75), seconds(5400)
    ('12 ms', '4.6 s', '1 min 15 s', '1 h 30 min')
    """
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: int) -> str:
    """Write a size in the unit that suits it.

    >>> size(512), size(47_104), size(12_345_678)
    ('512 B', '47 kB', '12.3 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    if n_bytes < 999_500:
        return f"{n_bytes / 1e3:.0f} kB"
    return f"{n_bytes / 1e6:.1f} MB"


def p_value(value: float | None) -> str:
    """Write a p value.

    >>> p_value(0.2345), p_value(0.00001)
    ('0.23', '< 0.001')
    """
    if value is None:
        return _MISSING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def fact(value: object) -> str:
    """Write any value of a table of facts.

    >>> fact(60000), fact(("a", "b")), fact(None)
    ('60,000', 'a, b', '–')
    """
    if value is None or value == "":
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {fact(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(fact(item) for item in value)
    return str(value)
