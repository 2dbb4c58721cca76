"""Experiments as Prefect flow runs: state, logs and artifacts on its page, schedules, retries."""

from tenfold.flow.cluster import PrefectClusterExecutor
from tenfold.flow.connection import connected
from tenfold.flow.executor import PrefectExecutor
from tenfold.flow.flows import FLOWS, FlowName, deploy_and_serve, run_in_flow

__all__ = [
    "FLOWS",
    "FlowName",
    "PrefectClusterExecutor",
    "PrefectExecutor",
    "connected",
    "deploy_and_serve",
    "run_in_flow",
]
