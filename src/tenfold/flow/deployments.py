"""The flows as objects of a module, where the processes of a deployment find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenfold.config import parse_config
from tenfold.experiment import run_experiment
from tenfold.flow.flows import FlowName, make_flow, run_here, state_of
from tenfold.tuning import run_tuning


def _deployed(name: FlowName, work: Callable[..., Any]) -> Any:
    def run(**fields: Any) -> Any:
        given = {field: value for field, value in fields.items() if value is not None}
        return state_of(run_here(work, parse_config(given, origin=f"flow {name}")))

    return make_flow(name, run)


compare = _deployed("compare", run_experiment)
train = _deployed("train", run_experiment)
tune = _deployed("tune", run_tuning)
