"""What a worker of a Dask cluster does with a unit: whether it may, the fit, the hand-over.

The worker has a workspace and a data cache of its own. It is given JSON and gives JSON back; the
files of each finished trial go to the tracking server, and nothing lies in a shared folder.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tenfold._optional import require
from tenfold.config import load_settings
from tenfold.errors import (
    ConfigError,
    DownloadError,
    ModelInputError,
    TenfoldError,
    UsageError,
)
from tenfold.fitting import TRIAL_FILES, prepare
from tenfold.machine import profile, thread_environ, usable_cores
from tenfold.models import source_sha256
from tenfold.tracking import RunFiles
from tenfold.worker import Event, OnEvent, WorkerProcess
from tenfold.workspace import Workspace

_LOOK_S = 1.0
_RECORD = TRIAL_FILES[0]
#: Seconds for which a worker keeps the checkpoints of a trial that nobody goes on with.
_KEPT_S = 7 * 24 * 3600.0

_idle: dict[int, list[WorkerProcess]] = {}
_idle_lock = threading.Lock()


def work(request: str) -> str:
    """Make a call in a process of this worker; the function that Dask runs.

    Args:
        request: JSON with ``function``, ``payload`` (as a local worker is given it, and ``runs``,
            each trial's run), ``timeout_s``, ``memory_limit_bytes``, ``profile`` and ``sources``
            of who asks, ``tracking_uri``, and ``topic`` and ``call``, under which events are sent.

    Returns:
        JSON with ``worker``, its address, and one of ``answer``, ``refused`` (why this worker must
        not do it; with ``passing`` where it may do the next of its like) and ``error`` (the name of
        an error and its message).
    """
    asked = json.loads(request)
    worker = _dask_worker()
    address = worker.address if worker else "here"

    def tell(event: Event) -> None:
        if worker is not None:
            worker.log_event(asked["topic"], json.dumps([asked["call"], event]))

    try:
        answer = run(asked, tell=tell, is_wanted=_asker(worker))
    except TenfoldError as error:
        answer = {"error": [type(error).__name__, str(error)]}
    return json.dumps({"worker": address, **answer})


def run(
    asked: Mapping[str, Any], *, tell: OnEvent, is_wanted: Callable[[], bool]
) -> dict[str, Any]:
    """Make the call that a request asks for, unless this machine must not.

    Args:
        asked: As for `work`.
        tell: Is given the events of the call; ``{"key", "done", "kept"}`` when a trial's files are
            with its run.
        is_wanted: Says whether anybody still waits for the answer; else the call is ended.

    Raises:
        TenfoldError: The call failed, or the files cannot be handed over.
    """
    settings = load_settings()
    workspace = Workspace(settings.home).open()
    keys = asked["payload"]["keys"]
    job = workspace.jobs / f"remote-{keys[-1]}"
    checkpoints = workspace.checkpoints / "remote"
    payload = {
        **asked["payload"],
        "data_dir": settings.data_dir and str(settings.data_dir),
        "folder": str(job / "rows"),
        "graphs": str(job / "graphs"),
        "checkpoints": str(checkpoints),
    }
    threads = payload["numerics"]["threads"]
    # Locks of another name than those of experiments, which may have this workspace, too.
    with (
        workspace.locked(*(f"remote-{key}" for key in keys)),
        _process(threads, is_wanted) as process,
    ):
        shutil.rmtree(job, ignore_errors=True)  # what a killed worker left
        _drop_abandoned(checkpoints, workspace, keys)
        refusal = process.call(
            "tenfold.remote:check",
            {**payload, "profile": asked["profile"], "sources": asked["sources"]},
            on_event=tell,
        )
        if refusal:
            return dict(refusal)
        try:
            answer = _call(process, asked, payload, job, tell)
        finally:
            shutil.rmtree(job, ignore_errors=True)
        shutil.rmtree(checkpoints / keys[-1], ignore_errors=True)
        return {"answer": answer}


def _drop_abandoned(checkpoints: Path, workspace: Workspace, keys: Sequence[str]) -> None:
    """Drop the checkpoints that nobody went on with for a week, except those of `keys`.

    A worker is not told whether a trial that it was to end was pruned or is run again, perhaps by
    another worker.
    """
    oldest = time.time() - _KEPT_S
    for folder in checkpoints.glob("*"):
        with suppress(OSError):  # a fit of another worker replaces files meanwhile
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            is_over = newest < oldest and folder.name not in keys
            if is_over and not workspace.is_held(f"remote-{folder.name}"):
                shutil.rmtree(folder, ignore_errors=True)


def check(payload: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:
    """Say why this machine would give other results than the one that asks, in one line.

    Args:
        payload: As for `fit_unit`, and ``profile`` and ``sources`` of who asks: `profile` of its
            machine, and the SHA-256 of the source file of each own estimator.
        on_event: Is given nothing.

    Returns:
        ``{"refused": line}``, or nothing where the results are the same; with ``"passing": True``
        where a download failed, which may go well the next time.
    """
    for reason in (_other_profile(payload), _other_hardware(payload), _other_source(payload)):
        if reason:
            return {"refused": reason}
    source = payload["dataset"]["source"]
    try:
        found = prepare(payload, on_event)["fingerprint"]
    except UsageError as error:
        return {"refused": _line(error)}
    except DownloadError as error:
        return {"refused": _line(error), "passing": True}
    if found != payload["fingerprint"]:
        line = (
            f"its data set {source} has other content (fingerprint {found[:12]}, not "
            f"{payload['fingerprint'][:12]}); give it the same files in its TENFOLD_DATA_DIR"
        )
        return {"refused": line}
    return {}


def _line(error: TenfoldError) -> str:
    return str(error).replace("\n", " ")


def _other_profile(payload: Mapping[str, Any]) -> str | None:
    mine = profile()
    other = [
        f"{name} {mine.get(name, 'none')} instead of {wanted}"
        for name, wanted in payload["profile"].items()
        if mine.get(name, "none") != wanted
    ]
    if not other:
        return None
    return f"its profile differs: {', '.join(other)}; install the same versions there"


def _other_hardware(payload: Mapping[str, Any]) -> str | None:
    numerics = payload["numerics"]
    threads, device, precision = (numerics[name] for name in ("threads", "device", "precision"))
    if usable_cores() < threads:
        return (
            f"its profile differs: threads is {threads}, and it may use {usable_cores()} of its "
            "cores; give the worker more, or lower threads for the whole experiment"
        )
    if (device, precision) == ("cpu", "float32"):
        return None
    from tenfold.models.torch.device import check_processes, has_bfloat16, resolve_device

    try:
        found = resolve_device(device)
        check_processes(found, numerics["processes"])
    except ConfigError as error:
        return f"its profile differs: {error}"
    if precision == "bfloat16" and not has_bfloat16(found):
        return f"its profile differs: its {device} has no bfloat16; set precision to float32"
    return None


def _other_source(payload: Mapping[str, Any]) -> str | None:
    for model, wanted in payload["sources"].items():
        try:
            found = source_sha256(model)
        except ModelInputError as error:
            return str(error)
        if found != wanted:
            return (
                f"its source file of {model} is another one ({found[:12]}, not {wanted[:12]}); "
                "put the same there"
            )
    return None


def _call(
    process: WorkerProcess,
    asked: Mapping[str, Any],
    payload: Mapping[str, Any],
    job: Path,
    tell: OnEvent,
) -> Mapping[str, Any]:
    """Call the function; hand each trial's files over as soon as it is done."""
    runs = payload["runs"]
    files = RunFiles(os.environ.get("MLFLOW_TRACKING_URI") or asked["tracking_uri"])
    kept = [key for key in payload["keys"] if _RECORD in files.names(runs[key])]
    for key in kept:  # by a worker that was killed afterwards
        tell({"key": key, "done": True, "kept": True})
    payload = _without(payload, kept)
    if not payload["keys"]:
        return {}

    def on_event(event: Event) -> None:
        if event.get("done"):
            key = event["key"]
            found = sorted([*(job / "rows" / key).iterdir(), *(job / "graphs").glob(f"{key}/*")])
            # The record last: where it is, the others are.
            files.put(runs[key], sorted(found, key=lambda path: path.name == _RECORD))
            event = {**event, "kept": True}
        tell(event)

    return process.call(
        asked["function"],
        payload,
        on_event=on_event,
        timeout_s=asked["timeout_s"],
        memory_limit_bytes=asked["memory_limit_bytes"],
    )


def _without(payload: Mapping[str, Any], kept: list[str]) -> Mapping[str, Any]:
    """Return the payload without the trials that are kept already."""
    left = [place for place, key in enumerate(payload["keys"]) if key not in kept]
    lists = {name: payload[name] for name in ("keys", "trials", "bases")}
    return {**payload, **{name: [many[at] for at in left if many] for name, many in lists.items()}}


def _dask_worker() -> Any:
    """Return the Dask worker that this thread works for; None where there is none."""
    try:
        return require("distributed").get_worker()
    except ValueError:
        return None


def _asker(worker: Any) -> Callable[[], bool]:
    """Return what says whether the scheduler still wants the task of this thread."""
    if worker is None:
        return lambda: True
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    return is_wanted


@contextmanager
def _process(threads: int, is_wanted: Callable[[], bool]) -> Iterator[WorkerProcess]:
    """Give a process that no other thread of this worker uses, warm where there is one.

    It is closed as soon as nobody waits for its answer any more.
    """
    with _idle_lock:
        waiting = _idle.setdefault(threads, [])
        process = waiting.pop() if waiting else WorkerProcess(thread_environ(threads))
    over, closed = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            if not is_wanted():
                closed.set()
                process.close()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield process
    finally:
        over.set()
        thread.join()
        if not closed.is_set():
            with _idle_lock:
                waiting.append(process)
