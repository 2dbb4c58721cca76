"""From a configuration to the trials it asks for."""

from tenfold.search.grid import expand_grid, trial_key

__all__ = ["expand_grid", "trial_key"]
