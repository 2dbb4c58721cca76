"""The flows as objects of a module, where the processes of a deployment find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenfold.config import parse_config
from tenfold.experiment import run_experiment
from tenfold.flow.artifacts import publish
from tenfold.flow.flows import FlowName, make_flow, run_here, state_of
from tenfold.tuning import run_tuning


def _deployed(name: FlowName, work: Callable[..., Any]) -> Any:
    def run(**fields: Any) -> Any:
        given = {field: value for field, value in fields.items() if value is not None}
        result = run_here(work, parse_config(given, origin=f"flow {name}"))
        publish(result)
        return state_of(result)

    return make_flow(name, run)


compare = _deployed("compare", run_experiment)
train = _deployed("train", run_experiment)
tune = _deployed("tune", run_tuning)
