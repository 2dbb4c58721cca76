"""Which executor a command uses: worker processes alone, or tasks of a Prefect flow run."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

from tenfold._optional import check_installed, require
from tenfold.config import load_settings, without_password
from tenfold.errors import UsageError
from tenfold.executor import NoExecutor
from tenfold.servers import Server, find_prefect, prefect_environ, prefect_plan
from tenfold.workspace import Workspace

FlowName = Literal["compare", "train", "tune"]
EXECUTORS = ("auto", "local", "prefect")


@contextmanager
def running_on(
    asked: str,
    flow: FlowName,
    *,
    say: Callable[[str], None],
    cluster: str | None = None,
    remembered_only: bool = False,
) -> Iterator[Callable[..., Any]]:
    """Give what calls `run_experiment` or its like with an executor, within a flow run or without.

    Args:
        asked: ``auto``, ``local`` or ``prefect``.
        flow: The flow whose run it is.
        say: Is told what the user should know.
        cluster: Address of a Dask cluster that passed `check_cluster`; the fits run there.
        remembered_only: Fit nothing; no server is asked.

    Raises:
        UsageError: `asked` is unknown, Prefect is not installed, or its server does not answer.
        ServerError: The workspace's Prefect server cannot be started.
    """
    if asked not in EXECUTORS:
        raise UsageError(f"--executor is {asked!r}; allowed: {', '.join(EXECUTORS)}")
    if remembered_only:
        yield lambda work, config, **options: work(config, NoExecutor(), **options)
        return
    if cluster is not None and asked == "local":
        raise UsageError("--cluster and --executor local exclude each other; leave one of them out")
    api = None if asked == "local" else find_api()
    if asked == "local" or (asked == "auto" and cluster is None and not _can_use(api, say)):
        yield lambda work, config, **options: work(config, None, **options)
        return
    with ExitStack() as stack:
        if api is None:
            say("starting the workspace's Prefect server")
            api = stack.enter_context(_own_server())
        from tenfold.flow import PrefectClusterExecutor, connected, run_in_flow

        stack.enter_context(connected(api))
        keep_prefect_quiet()
        executor = None
        if cluster is not None:
            executor = PrefectClusterExecutor(cluster, os.environ["MLFLOW_TRACKING_URI"])
        yield partial(run_in_flow, flow, executor=executor)


def find_api() -> str | None:
    """Return the address of the Prefect server to use: the variable's, or the workspace's.

    For the workspace's, the environment is set for the first import of Prefect.
    """
    given = os.environ.get("PREFECT_API_URL")
    if given:
        return given
    workspace = Workspace(load_settings().home)
    page = find_prefect(workspace)
    if page is None:
        return None
    os.environ.update(prefect_environ(workspace))
    return f"{page}/api"


def keep_prefect_quiet() -> None:
    """Let Prefect's logs go to its page alone; ours stand on stderr."""
    require("prefect.main")  # sets its loggers up, whoever imports it first
    for name in ("prefect", "prefect._internal", "EventsWorker", "APILogWorker"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [logging.NullHandler()]
    logging.raiseExceptions = False  # else it prints what it could not send


def _can_use(api: str | None, say: Callable[[str], None]) -> bool:
    if api is None:
        return False
    if importlib.util.find_spec("prefect") is None:
        say(
            "Prefect is not installed (pip install 'tenfold[flow]'), so its server "
            f"{without_password(api)} is left alone and the fits run in local processes"
        )
        return False
    return True


@contextmanager
def _own_server() -> Iterator[str]:
    """Give the address of a server of the workspace's own, which ends with the block."""
    check_installed("prefect")
    workspace = Workspace(load_settings().home)
    os.environ.update(prefect_environ(workspace))
    with Server(prefect_plan(workspace)) as server:
        for module in ("prefect", "mlflow"):  # wanted in a moment, and the server takes as long
            require(module)
        server.wait_until_ready()
        yield f"{server.url}/api"
