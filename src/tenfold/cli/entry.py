"""The way into the `tenfold` command and out of it: its streams, and errors as one clear line."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

from tenfold.errors import TenfoldError
from tenfold.heap import cycles_left

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    _mend_streams()
    try:
        from tenfold.cli.app import app  # takes a while, in which Ctrl-C may be pressed already

        with cycles_left():
            app()
    except TenfoldError as error:
        sys.stderr.writelines(f"error: {line}\n" for line in str(error).splitlines())
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sys.stderr.write(
            f"error: the output cannot be written: {error.strerror}; "
            "free space or send it elsewhere, then run the same command again\n"
        )
        # Else Python tries at its end to write what is left, and complains once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _mend_streams() -> None:
    """Drop what goes to a stream that is closed; print ``?`` for what one cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the end
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")
