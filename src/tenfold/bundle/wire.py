"""Protocol Buffers' wire format, read in place and within bounds, without knowing any schema.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tenfold.errors import BundleError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_LARGEST_KEY = 2**32
_FIXED = {FIXED64: 8, FIXED32: 4}


class WireReader:
    """Splits messages into fields, no more of them than it was told.

    Args:
        most_fields: How many fields of all messages together are read at the most.
    """

    def __init__(self, most_fields: int) -> None:
        self._most = most_fields
        self._left = most_fields

    def fields(
        self, message: memoryview, *, passed_over: re.Pattern[bytes] | None = None
    ) -> Iterator[tuple[int, int, int | memoryview]]:
        """Yield number, wire type and value of each field; what is copied is a number at most.

        Args:
            message: The encoded message.
            passed_over: Runs of fields that need no look, and do not count.

        Raises:
            BundleError: The bytes are no message, or have more fields than allowed.
        """
        at = 0
        while at < len(message):
            if passed_over is not None and (run := passed_over.match(message, at)):
                at = run.end()
                continue
            self._left -= 1
            if self._left < 0:
                raise BundleError(f"it has more than {self._most:,} parts")
            key, at = read_varint(message, at)
            number, kind = key >> 3, key & 7
            if not number or key >= _LARGEST_KEY:
                raise BundleError("it is no Protocol Buffers message")
            if kind == VARINT:
                number_value, at = read_varint(message, at)
                yield number, kind, number_value
                continue
            size = _FIXED.get(kind, 0)
            if kind == BYTES:
                size, at = read_varint(message, at)
            elif not size:
                raise BundleError("it is no Protocol Buffers message")
            if size > len(message) - at:
                raise BundleError("it is cut off, or no Protocol Buffers message")
            yield number, kind, message[at : at + size]
            at += size


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a variable-length number, 0 to 2**64 - 1, and the position behind it.

    Raises:
        BundleError: It is longer than ten bytes, too large, or cut off.
    """
    value = 0
    for position, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at + position + 1
    raise BundleError("it is cut off, or no Protocol Buffers message")
