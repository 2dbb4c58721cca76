"""The flows: an experiment inside a Prefect flow run, started here or by a deployment."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from tenfold.config import ExperimentConfig, load_settings, without_password, without_passwords
from tenfold.errors import ConfigError, UsageError
from tenfold.executor import Executor
from tenfold.flow.artifacts import Reported, publish
from tenfold.flow.connection import first_line, is_loss, went_away
from tenfold.flow.executor import PrefectExecutor
from tenfold.flow.observer import PrefectObserver
from tenfold.search import expand_grid, resolve_spaces
from tenfold.searching import NullStudyObserver
from tenfold.workbench import local_executor, resolve_config

FlowName = Literal["compare", "train", "tune"]
FLOWS: tuple[FlowName, ...] = get_args(FlowName)
_DESCRIPTIONS: Mapping[FlowName, str] = {
    "compare": "Train models on the same data, choose on validation rows, report on test rows.",
    "train": "Train one model and report on it.",
    "tune": "Search the parameters of each model, refit the best, report on test rows.",
}
Result = TypeVar("Result", bound=Reported)


def run_in_flow(
    name: FlowName,
    work: Callable[..., Result],
    config: ExperimentConfig,
    *,
    executor: Executor | None = None,
    observer: Any = None,
    **options: Any,
) -> Result:
    """Run an experiment as a flow run of the connected Prefect server.

    Args:
        name: The flow.
        work: Does it, `run_experiment` for example: is given the configuration, an executor, and
            by keyword the settings, an observer and the options.
        config: What to run; its fields are the flow run's parameters.
        executor: Runs the fits as tasks of the flow run; None: on this machine.
        observer: Is told what happens, as `work` takes it.
        options: Further arguments of `work`.

    Returns:
        What `work` returned, also where the server went away meanwhile: the observer is told.

    Raises:
        TenfoldError: What `work` raises.
        ServerError: The server went away before there was a result.
    """
    from prefect.settings import PREFECT_API_URL

    observer = observer or NullStudyObserver()
    results: list[Result] = []
    raised: list[BaseException] = []
    lost: list[Exception] = []

    def body(**fields: Any) -> Any:  # noqa: ARG001  # they are for those who look at the run
        observer.said(f"Prefect shows this run at {_address()}")
        try:
            results.append(run_here(work, config, executor, observer=observer, **options))
        except BaseException as error:
            raised.append(error)
            raise
        try:
            publish(results[0])
        # Whatever it is, the result is worth more than what Prefect shows of it.
        except Exception as error:
            lost.append(error)
        return state_of(results[0])

    try:
        state = make_flow(name, body)(
            **without_passwords(config).model_dump(mode="json"), return_state=True
        )
        if not results:
            state.result()  # raises what the work raised
    except Exception as error:
        if not is_loss(error):
            raise
        lost.append(error)
    api = PREFECT_API_URL.value()
    if not results:
        _raise_end(raised, lost, api)
    if lost:
        observer.said(
            f"warning: the Prefect server at {without_password(api)} could not be told how this "
            f"run ended ({first_line(lost[0])}); its results are whole"
        )
    return results[0]


def run_here(
    work: Callable[..., Result],
    config: ExperimentConfig,
    executor: Executor | None = None,
    *,
    observer: Any = None,
    **options: Any,
) -> Result:
    """Do the work of a flow inside the flow run that is under way."""
    settings = load_settings()
    return work(
        config,
        executor or PrefectExecutor(local_executor(resolve_config(config, settings))),
        settings=settings,
        observer=PrefectObserver(observer or NullStudyObserver()),
        **options,
    )


def state_of(result: Reported) -> Any:
    """Return the state in which a flow run ends: failed where a row failed, as the command does."""
    from prefect.states import Completed, Failed

    rows = result.leaderboard.rows
    failed = [row for row in rows if row.status != "finished"]
    if failed:
        return Failed(message=f"{len(failed)} of {len(rows)} rows failed: {failed[0].name}")
    winner = result.leaderboard.winner
    return Completed(message=f"winner: {winner.name}" if winner else None)


def make_flow(name: FlowName, function: Callable[..., Any]) -> Any:
    """Return a Prefect flow that takes the fields of `ExperimentConfig`.

    Args:
        name: What it is called.
        function: Is given the fields by name, as plain values.
    """
    from prefect import flow

    function.__name__ = name
    # Prefect reads a flow's parameters, and their schema, from its function's signature.
    fields = ExperimentConfig.model_fields.items()
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_parameter(field, info) for field, info in fields]
    )
    return flow(
        name=name,
        description=_DESCRIPTIONS[name],
        flow_run_name="{name}",
        validate_parameters=False,  # the schema of experiments does it
        persist_result=False,
    )(function)


def find_misfits(config: ExperimentConfig) -> dict[FlowName, str]:
    """Return the flows that would refuse a configuration, each with its reason."""
    checks: Mapping[FlowName, Callable[[ExperimentConfig], object]] = {
        "compare": expand_grid,
        "train": _check_train,
        "tune": resolve_spaces,
    }
    found: dict[FlowName, str] = {}
    for name, check in checks.items():
        try:
            check(config)
        except UsageError as error:
            found[name] = "; ".join(str(error).splitlines())
    return found


def deploy_and_serve(crons: Mapping[FlowName, str | None], parameters: Mapping[str, Any]) -> None:
    """Deploy flows with an experiment as their defaults, and run what is asked for until SIGTERM.

    The main function of a process. When it ends, it pauses the deployments; when it starts, those
    of earlier calls that it does not make anew.

    Args:
        crons: By flow when it starts by itself, in cron's five fields; None: only when asked.
            Each deployment is called as the experiment.
        parameters: The experiment: their defaults.
    """
    from prefect import serve
    from prefect.types.entrypoint import EntrypointType

    from tenfold.flow import deployments

    made = [
        getattr(deployments, name).to_deployment(
            parameters["name"],
            cron=cron,
            parameters=dict(parameters),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for name, cron in crons.items()
    ]
    _pause([f"{name}/{parameters['name']}" for name in FLOWS if name not in crons])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Prefect sets its own
    try:
        # Prefect's own pausing is broken off when it is ended while a flow run is under way.
        serve(*made, pause_on_shutdown=False, print_starting_message=False)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _pause([f"{name}/{parameters['name']}" for name in crons])


def _parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    default = inspect.Parameter.empty
    if not info.is_required():
        default = to_jsonable_python(info.get_default(call_default_factory=True))
    annotated: Any = Annotated  # no type of ours, but a value that Prefect reads
    annotation = annotated[info.annotation, *info.metadata, Field(description=info.description)]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _check_train(config: ExperimentConfig) -> None:
    if len(config.models) > 1:
        raise ConfigError([f"models: got {len(config.models)}; it trains one"])
    expand_grid(config)


def _pause(names: Sequence[str]) -> None:
    """Pause deployments, so that nothing becomes due that nobody would run."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        for name in names:
            with suppress(ObjectNotFound):  # there never was one
                client.pause_deployment(client.read_deployment_by_name(name).id)


def _address() -> str:
    from prefect.context import FlowRunContext
    from prefect.utilities.urls import url_for

    context = FlowRunContext.get()
    assert context is not None, "a flow runs in its context"
    assert context.flow_run is not None, "a flow runs in its context"
    return without_password(url_for(context.flow_run) or "its page")


def _raise_end(raised: Sequence[BaseException], lost: Sequence[Exception], api: str) -> NoReturn:
    """Raise what a run without a result ended with: its work's error, unless that is the loss."""
    for error in raised:
        if not is_loss(error):
            raise error
    raise went_away(lost[0], api) from lost[0]
