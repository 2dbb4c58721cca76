"""What is tried: a configuration's grid, a search space, a study that asks for trials."""

from tenfold.search.grid import expand_grid, trial_key
from tenfold.search.liveness import Watch, owner_name
from tenfold.search.plan import Asked, StudyPlan
from tenfold.search.space import describe_dimension, resolve_space, resolve_spaces
from tenfold.search.storage import StudyStorage
from tenfold.search.study import Study

__all__ = [
    "Asked",
    "Study",
    "StudyPlan",
    "StudyStorage",
    "Watch",
    "describe_dimension",
    "expand_grid",
    "owner_name",
    "resolve_space",
    "resolve_spaces",
    "trial_key",
]
