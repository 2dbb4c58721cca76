"""`python -m tenfold`: the same as the `tenfold` command."""

from tenfold.cli import main

main()
