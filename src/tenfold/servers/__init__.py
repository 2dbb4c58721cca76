"""Server processes that a command starts, and that end with it, also when it is killed."""

from tenfold.servers.note import find_prefect, remembered
from tenfold.servers.plans import mlflow_elsewhere, mlflow_plan, prefect_environ, prefect_plan
from tenfold.servers.process import LOOPBACK, Server, ServerPlan, watch

__all__ = [
    "LOOPBACK",
    "Server",
    "ServerPlan",
    "find_prefect",
    "mlflow_elsewhere",
    "mlflow_plan",
    "prefect_environ",
    "prefect_plan",
    "remembered",
    "watch",
]
