"""The command line: arguments, printing and logging; the work is done below."""

from tenfold.cli.entry import main

__all__ = ["main"]
