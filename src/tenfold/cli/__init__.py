"""The command line: arguments, printing and logging; the work is done below."""

from tenfold.cli.app import main

__all__ = ["main"]
