"""Prefect: the same results as without it, and everything on its page."""

import csv
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import psutil
import pytest

from tenfold.config import ExperimentConfig, parse_config
from tenfold.errors import (
    ConfigError,
    ServerError,
    TrackingError,
    TrialError,
    TrialPrunedError,
    UnreachableServerError,
    UsageError,
)
from tenfold.evaluation import TIME_COLUMNS
from tenfold.executor import LocalExecutor
from tenfold.experiment import run_experiment
from tenfold.flow import PrefectClusterExecutor, PrefectExecutor, connected, run_in_flow
from tenfold.flow.connection import first_line
from tenfold.records import FitUnit, Numerics, Trial, TrialResult
from tenfold.search import expand_grid
from tenfold.searching import NullStudyObserver
from tenfold.servers import Server, find_prefect
from tenfold.tuning import run_tuning
from tenfold.workspace import Workspace

SMALL = {"cv_repeats": 1, "cv_folds": 2}
SETS = ("--set", "dataset.cv_repeats=1", "--set", "dataset.cv_folds=2")
ERRANDS = """
import os, threading
def double(payload, on_event):
    return {"twice": payload["x"] * 2}
def die_once(payload, on_event):
    if not os.path.exists(payload["mark"]):
        open(payload["mark"], "w").close()
        os.kill(os.getpid(), 9)
    return {"twice": payload["x"] * 2}
def die(payload, on_event):
    os.kill(os.getpid(), 9)
def hang(payload, on_event):
    on_event({"step": 0, "pid": os.getpid()})
    threading.Event().wait()
"""


ENDLESS = """
import threading
from sklearn.base import BaseEstimator, ClassifierMixin
class Endless(ClassifierMixin, BaseEstimator):
    def fit(self, images, labels):
        threading.Event().wait()
"""
CRON = "0 3 * * *"


def start(*arguments, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        # A suite that runs in the background has Ctrl-C switched off, and its children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads
    )


def below(process):
    return psutil.Process(process.pid).children(recursive=True)


def read_until(stream, text):
    """Return the first line with a text in it."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return line
    return pytest.fail(f"no {text!r} in: {''.join(lines)}")


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    """Return the workspace of the one server that these tests share."""
    workspace = Workspace(tmp_path_factory.mktemp("shared") / "workspace").open()
    shutil.copy(empty_database, workspace.home)
    return workspace.home


@pytest.fixture(scope="module")
def api(home):
    """Return the address of a server that `tenfold up` started; Ctrl-C must end it cleanly."""
    with pytest.MonkeyPatch.context() as patch:
        # Prefect reads where its home is when it is first imported, which is in this process.
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        patch.setenv("DO_NOT_TRACK", "1")
        importlib.import_module("prefect")
        for name in [name for name in os.environ if name.startswith(("TENFOLD_", "PREFECT_"))]:
            patch.delenv(name)
        yield from serving(home)


def serving(home):
    """Give the address of the Prefect server of `tenfold up`, and look how that ends."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = [str(probe.getsockname()[1]) for probe in (one, two)]
    options = ("--mlflow-port", ports[0], "--prefect-port", ports[1])
    up = start("up", *options, TENFOLD_HOME=str(home))
    pages = [read_until(up.stderr, name).split()[-1] for name in ("MLflow:", "Prefect:")]
    assert pages == [f"http://127.0.0.1:{port}" for port in ports]
    read_until(up.stderr, "Ctrl-C")
    processes = below(up)
    yield f"{pages[1]}/api"
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=120)
    assert (up.returncode, errors) == (0, "ended\n")
    assert not any(process.is_running() for process in processes)


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "errands.py").write_text(ERRANDS)
    return {"PYTHONPATH": str(tmp_path)}


def ignore(event):
    """Take no notice of an event."""


def unit(name):
    trial = Trial(model="knn", params={}, title=name, label="", seed=0)
    return FitUnit((trial,), (name,), Numerics("cpu", "float32", 1))


def result(unit, value=0, **fields):
    fields = {"status": "finished", **fields}
    return (TrialResult(unit.trials[0], unit.keys[0], model_bytes=value, **fields),)


def run_units(api, executor, units, fit):
    """Run units in a flow run and return their results."""
    from prefect import flow

    found = []

    @flow(name="units", persist_result=False)
    def units_flow():
        found.extend(executor.run(units, fit))

    with connected(api):
        units_flow()
    return [results[0] for results in found]


def runs(api, kind, **filters):
    """Return what the server knows: flow runs, task runs, logs or artifacts."""
    import httpx

    answer = httpx.post(f"{api}/{kind}/filter", json={"limit": 200, **filters})
    return answer.raise_for_status().json()


def latest(api, flow):
    (found,) = runs(
        api,
        "flow_runs",
        limit=1,
        sort="START_TIME_DESC",
        flows={"name": {"any_": [flow]}},
    )
    return found


def tasks_of(api, flow, count=1):
    """Return the tasks of the latest run by their names, once the server has recorded their ends.

    It takes them from a stream of events, a moment after they happened.
    """
    of_run = {"id": {"any_": [latest(api, flow)["id"]]}}
    deadline = time.monotonic() + 60
    found = []
    while time.monotonic() < deadline:
        found = runs(api, "task_runs", flow_runs=of_run)
        if sum(task["state_type"] in ("COMPLETED", "FAILED") for task in found) == count:
            return {task["name"]: task for task in found}
        threading.Event().wait(0.1)
    return pytest.fail(f"not {count} tasks that ended, but {found}")


@pytest.mark.parametrize("workers", [0, 2])
def test_every_unit_is_a_task_that_is_run_once(api, environ, workers, monkeypatch):
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])

    def fit(unit, caller):
        answer = caller.call("errands:double", {"x": int(unit.name)}, on_event=ignore)
        return result(unit, answer["twice"])

    executor = PrefectExecutor(LocalExecutor(workers, environ=environ))
    found = run_units(api, executor, [unit(str(number)) for number in range(5)], fit)
    assert sorted(found.model_bytes for found in found) == [0, 2, 4, 6, 8]
    tasks = tasks_of(api, "units", 5)
    assert sorted(tasks) == ["0", "1", "2", "3", "4"]
    assert {task["state_type"] for task in tasks.values()} == {"COMPLETED"}
    assert {task["run_count"] for task in tasks.values()} == {1}


def test_a_failing_fit_fails_its_task_and_is_not_tried_again(api):
    def fit(unit, caller):
        return result(unit, status="failed", error="out of luck")

    (found,) = run_units(api, PrefectExecutor(LocalExecutor(1)), [unit("one")], fit)
    assert found.error == "out of luck"
    task = tasks_of(api, "units")["one"]
    assert (task["state_type"], task["run_count"]) == ("FAILED", 1)
    assert task["state"]["message"] == "one: out of luck"


def test_a_killed_worker_costs_an_attempt_and_not_the_trial(api, environ, tmp_path):
    def fit(unit, caller):
        payload = {"x": 4, "mark": str(tmp_path / "mark")}
        return result(unit, caller.call("errands:die_once", payload, on_event=ignore)["twice"])

    executor = PrefectExecutor(LocalExecutor(1, environ=environ), retry_delays_s=(0, 0))
    (found,) = run_units(api, executor, [unit("one")], fit)
    assert found.model_bytes == 8
    assert tasks_of(api, "units")["one"]["run_count"] == 2


def test_a_worker_that_is_killed_each_time_fails_its_trial_alone(api, environ):
    def fit(unit, caller):
        try:
            caller.call("errands:die", {}, on_event=ignore)
        except TrialError as error:
            return result(unit, status="failed", error=str(error))

    executor = PrefectExecutor(LocalExecutor(1, environ=environ), retry_delays_s=(0,))
    (found,) = run_units(api, executor, [unit("one")], fit)
    assert "signal 9" in found.error


def test_a_tracker_that_cannot_be_reached_is_tried_again_and_then_told(api):
    calls = []

    def fit(unit, caller):
        calls.append(unit.name)
        if len(calls) % 3:
            raise TrackingError("nobody there")
        return result(unit)

    patient = PrefectExecutor(LocalExecutor(0), retry_delays_s=(0, 0))
    assert len(run_units(api, patient, [unit("one")], fit)) == 1
    hasty = PrefectExecutor(LocalExecutor(0), retry_delays_s=(0,))
    with pytest.raises(TrackingError, match="nobody there"):
        run_units(api, hasty, [unit("one")], fit)
    assert len(calls) == 5


def test_leaving_early_ends_what_runs_and_starts_nothing_more(api, environ):
    from prefect import flow

    pids, started = [], []

    def fit(unit, caller):
        started.append(unit.name)
        if unit.name == "0":
            return ()
        caller.call("errands:hang", {}, on_event=lambda event: pids.append(event["pid"]))
        return ()

    @flow(name="units", persist_result=False)
    def leave():
        units = [unit(str(number)) for number in range(9)]
        run = PrefectExecutor(LocalExecutor(1, environ=environ)).run(units, fit)
        next(run)
        run.close()

    with connected(api):
        leave()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert len(started) <= 2


def rows_of(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIME_COLUMNS}
            for row in csv.DictReader(file)
        ]


def test_results_are_those_of_the_local_executor_and_the_page_shows_them(api, workspace):
    grids = [("knn", {"n_neighbors": [3, 5]}), ("random_forest", {"n_estimators": [5, 10]})]
    models = ["sgd", *({"model": name, "grid": grid} for name, grid in grids)]
    raw = {"name": "both", "models": models, "dataset": SMALL, "threads": 1, "tracking": "none"}
    config = parse_config(raw)
    alone = rows_of(run_experiment(config, LocalExecutor(0)).folder)
    with connected(api):
        found = run_in_flow("compare", run_experiment, config)
    assert rows_of(found.folder) == alone
    run = latest(api, "compare")
    assert (run["name"], run["state_type"]) == ("both", "COMPLETED")
    assert run["parameters"]["seed"] == 42
    names = ["KNN n_neighbors=3, 5", "Random Forest n_estimators=5, 10", "SGD"]
    assert sorted(tasks_of(api, "compare", 3)) == names
    artifacts = runs(api, "artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})
    shown = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert set(shown) == {"both-leaderboard", "both-report"}
    assert '"model": "KNN"' in shown["both-leaderboard"]
    assert str(found.report) in shown["both-report"]
    logs = runs(api, "logs", logs={"flow_run_id": {"any_": [run["id"]]}})
    told = [log["message"] for log in logs]
    assert "opening the sealed test and writing the report" in told
    assert any(re.match(r"SGD: fitted in", line) for line in told)


def test_what_an_experiment_raises_is_raised_and_fails_the_run(api):
    def work(config, executor, **options):
        raise UsageError("not like this")

    with connected(api), pytest.raises(UsageError, match="not like this"):
        run_in_flow("train", work, parse_config({"models": ["sgd"]}))
    assert latest(api, "train")["state_type"] == "FAILED"


class Relay:
    """Hands on what goes to a server and what comes back, until it is cut."""

    def __init__(self, api):
        host, _, port = api.removeprefix("http://").removesuffix("/api").partition(":")
        self._server = (host, int(port))
        self._ends = [socket.create_server(("127.0.0.1", 0))]
        self.api = f"http://127.0.0.1:{self._ends[0].getsockname()[1]}/api"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Go away, as a server does that is killed."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._ends[0].accept()
                far = socket.create_connection(self._server)
                self._ends += (near, far)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._hand_on, args=ends, daemon=True).start()

    def _hand_on(self, one, other):
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(api, monkeypatch):
    """Return a way to the server that can be cut; nobody waits for it to come back then."""
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    monkeypatch.setattr("httpcore._sync.connection.RETRIES_BACKOFF_FACTOR", 0)
    relay = Relay(api)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield relay
    relay.cut()


@pytest.fixture
def no_pictures(monkeypatch):
    """Draw nothing: it takes longer than all the rest of a small experiment."""
    monkeypatch.setattr("tenfold.reporting.draw_figures", lambda content: ())
    monkeypatch.setattr("tenfold.reporting.draw_row", lambda row, content, test: ())


class Told(NullStudyObserver):
    def __init__(self):
        self.lines = []

    def said(self, text):
        self.lines.append(text)


def test_a_server_that_goes_away_costs_no_result(relay, workspace, no_pictures):
    def work(*arguments, **options):
        relay.cut()
        return run_experiment(*arguments, **options)

    raw = {"name": "lonely", "models": ["sgd"], "dataset": SMALL, "threads": 1, "tracking": "none"}
    told = Told()
    with connected(with_password(relay.api)):
        found = run_in_flow("compare", work, parse_config(raw), observer=told)
    assert [row.status for row in found.leaderboard.rows] == ["finished"]
    (warning,) = (line for line in told.lines if line.startswith("warning: "))
    shown = with_password(relay.api).replace("secret", "***")
    assert warning.startswith(f"warning: the Prefect server at {shown} could not be told")
    assert "secret" not in "".join(told.lines)
    assert "\n" not in warning


def test_a_command_goes_on_without_the_server_that_went_away(relay, workspace):
    options = ("--models", "sgd", "--set", "name=left-alone", *SETS)
    run = start("compare", *options, PREFECT_API_URL=relay.api, PREFECT_CLIENT_MAX_RETRIES="0")
    read_until(run.stderr, "Prefect shows this run at")
    relay.cut()
    *others, warning = run.stderr.read().splitlines()
    assert run.wait() == 0, others
    assert "winner: SGD" in run.stdout.read()
    assert warning.startswith(f"warning: the Prefect server at {relay.api} could not be told")
    assert others == [
        "reading digits",
        "1 to fit",
        "SGD: fitting",
        next(line for line in others if line.startswith("[1/1] SGD: done in")),
        "opening the sealed test and writing the report",
    ]


def test_what_cannot_be_shown_costs_no_result(api, workspace, no_pictures, monkeypatch):
    def refuse(result):
        raise ValueError("no artifact of that name")

    monkeypatch.setattr("tenfold.flow.flows.publish", refuse)
    raw = {"name": "unseen", "models": ["sgd"], "dataset": SMALL, "threads": 1, "tracking": "none"}
    told = Told()
    with connected(api):
        run_in_flow("compare", run_experiment, parse_config(raw), observer=told)
    assert "(no artifact of that name); its results are whole" in told.lines[-1]
    assert latest(api, "compare")["state_type"] == "COMPLETED"


def with_password(api):
    return api.replace("//", "//ann:secret@")


def test_no_line_about_a_flow_run_shows_the_servers_password(relay):
    def work(*arguments, **options):
        relay.cut()
        raise ValueError("what it would have made")

    api, told = with_password(relay.api), Told()
    with connected(api):
        with pytest.raises(ValueError, match="what it would have made"):
            run_in_flow("train", work, parse_config({"models": ["sgd"]}), observer=told)
        with pytest.raises(ServerError) as caught:
            run_in_flow("train", work, parse_config({"models": ["sgd"]}), observer=told)
    with pytest.raises(UnreachableServerError) as unreachable, connected(api):
        pass
    lines = [*told.lines, str(caught.value), str(unreachable.value)]
    assert len(lines) == 3
    for line in lines:
        assert "://ann:***@127.0.0.1" in line
        assert "secret" not in line


def test_what_prefect_says_of_an_address_shows_no_password():
    error = ValueError("401 Unauthorized for url 'http://ann:secret@far/api/health'\nmore")
    assert first_line(error) == "401 Unauthorized for url 'http://ann:***@far/api/health'"


def test_a_server_that_goes_away_before_the_flow_is_told_in_a_line(relay):
    with connected(relay.api):
        relay.cut()
        with pytest.raises(ServerError, match=f"server at {relay.api} no longer answers") as caught:
            run_in_flow("train", run_experiment, parse_config({"models": ["sgd"]}))
    assert "\n" not in str(caught.value)


def test_a_task_that_cannot_reach_the_server_is_told_in_a_line(relay):
    from prefect.client.orchestration import get_client

    def fit(unit, caller):
        with get_client(sync_client=True) as client:
            return client.hello()

    def work(config, executor, **options):
        relay.cut()
        list(executor.run([unit("one")], fit))

    with connected(relay.api), pytest.raises(ServerError, match="no longer answers") as caught:
        run_in_flow("train", work, parse_config({"models": ["sgd"], "units_at_once": 0}))
    assert "\n" not in str(caught.value)


def test_a_task_on_a_cluster_that_cannot_reach_the_server_is_told_in_a_line(
    relay, places, tmp_path
):
    payload = {"numerics": {}, "dataset": {}, "trials": [], "keys": []}

    def work(config, executor, **options):
        relay.cut()
        call = "tenfold.fitting:fit_unit"
        list(
            executor.run(
                [unit("one")], lambda _, caller: caller.call(call, payload, on_event=ignore)
            )
        )

    with Server(places.scheduler(tmp_path)) as scheduler:
        address = places.address_of(scheduler, tmp_path)
        home = str(tmp_path / "prefect")
        with Server(places.worker(address, tmp_path / "one", PREFECT_HOME=home)):
            executor = PrefectClusterExecutor(address, "http://127.0.0.1:1")
            told = pytest.raises(ServerError, match=f"{relay.api} no longer answers")
            with connected(relay.api), told as caught:
                run_in_flow("train", work, parse_config({"models": ["sgd"]}), executor=executor)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [TrialError("not one trial finished"), KeyboardInterrupt()])
def test_what_an_experiment_raises_is_raised_also_where_the_server_went_away(relay, error):
    def work(config, executor, **options):
        relay.cut()
        raise error

    with connected(relay.api), pytest.raises(type(error)) as caught:
        run_in_flow("train", work, parse_config({"models": ["sgd"]}))
    assert caught.value is error


def test_auto_uses_the_server_that_is_up_and_says_nothing_but_ours(api, home):
    assert find_prefect(Workspace(home)) == api.removesuffix("/api")
    options = ("--models", "sgd", "--set", "name=by-auto", *SETS)
    done = start("compare", *options, TENFOLD_HOME=str(home))
    _, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    run = latest(api, "compare")
    assert run["name"] == "by-auto"
    first, *others = errors.splitlines()
    assert (
        first == f"Prefect shows this run at {api.removesuffix('/api')}/runs/flow-run/{run['id']}"
    )
    assert others == [
        "reading digits",
        "1 to fit",
        "SGD: fitting",
        next(line for line in others if line.startswith("[1/1] SGD: done in")),
        "opening the sealed test and writing the report",
    ]


def test_a_killed_run_takes_its_own_server_with_it(workspace):
    run = start("compare", "--models", "sgd", "--executor", "prefect", *SETS)
    assert "starting" in run.stderr.readline()
    assert "Prefect shows this run at http://127.0.0.1:" in run.stderr.readline()
    processes = below(run)
    assert any("prefect" in " ".join(process.cmdline()) for process in processes)
    run.kill()
    _, left = psutil.wait_procs(processes, timeout=120)
    assert left == []
    run.communicate()


def test_a_server_that_does_not_answer_is_told_in_one_line():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
        expected = pytest.raises(UnreachableServerError, match=f"PREFECT_API_URL='{api}'")
        with expected, connected(api):
            pass


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"seed": "x"}, "'seed'"),
        ({"models": []}, "'models'"),
        ({"dataset": {"cv_folds": 1}}, "'dataset.cv_folds'"),
        ({"tune": {"n_trials": 0}}, "'tune.n_trials'"),
    ],
)
def test_a_deployment_refuses_what_the_schema_of_experiments_refuses(api, given, reason):
    from prefect.utilities.schema_tools.validation import ValidationError, validate

    from tenfold.flow import FLOWS, deployments

    for name in FLOWS:
        schema = getattr(deployments, name).parameters.model_dump()
        assert set(schema["properties"]) == set(ExperimentConfig.model_fields)
        validate({"seed": 3, "models": [{"model": "knn"}]}, schema, raise_on_error=True)
        with pytest.raises(ValidationError, match=reason):
            validate(given, schema, raise_on_error=True, ignore_required=True)


def test_a_deployed_flow_says_which_parameter_is_wrong(api):
    from tenfold.flow import deployments

    with connected(api), pytest.raises(ConfigError, match=r"models.0.model: got 'kn'.*'knn'"):
        deployments.compare(models=[{"model": "kn"}])
    run = latest(api, "compare")
    assert "Did you mean 'knn'?" in run["state"]["message"]


def test_a_study_runs_as_a_flow_too(api, workspace):
    tune = {"n_trials": 2, "startup_trials": 2}
    raw = {"name": "searched", "models": ["sgd"], "dataset": SMALL, "threads": 1, "tune": tune}
    with connected(api):
        found = run_in_flow("tune", run_tuning, parse_config({**raw, "units_at_once": 0}))
    trials = found.histories[0].trials
    assert [trial.state for trial in trials] == ["finished"] * 2
    names = {f"SGD {trial.label}" for trial in trials} | {"SGD search"}
    assert tasks_of(api, "tune", count=3).keys() == names
    assert (latest(api, "tune")["name"], latest(api, "tune")["state_type"]) == (
        "searched",
        "COMPLETED",
    )


def test_a_trial_that_is_given_up_inside_a_search_is_a_task_that_says_so(api, workspace):
    config = parse_config({"name": "pruned", "models": ["sgd"], "dataset": SMALL})
    (trial,) = expand_grid(config)
    unit = FitUnit((trial,), ("key",), Numerics("cpu", "float32", 1))

    def give_up():
        raise TrialPrunedError("pruned at step 1")

    def search(config, executor, **options):
        with pytest.raises(TrialPrunedError):
            executor.within(unit, give_up)
        raise TrialError("the search is over")

    with connected(api), pytest.raises(TrialError, match="the search is over"):
        run_in_flow("tune", search, config)
    (task,) = tasks_of(api, "tune").values()
    assert (task["name"], task["state_name"]) == (unit.name, "Pruned")


@contextmanager
def flows_served(home, *options, **environ):
    """Serve flows within the block; Ctrl-C must end it cleanly."""
    environ = {"TENFOLD_HOME": str(home), "PREFECT_RUNNER_POLL_FREQUENCY": "1", **environ}
    served = start("flow", "serve", *options, **environ)
    try:
        read_until(served.stderr, "Ctrl-C")
        yield
        served.send_signal(signal.SIGINT)
        _, errors = served.communicate(timeout=120)
        assert (served.returncode, errors) == (0, "ended\n")
    finally:
        served.kill()
        served.communicate()


def deployments_of(api, name):
    """Return by flow the deployments of an experiment."""
    of_name = {"name": {"any_": [name]}}
    found = runs(api, "deployments", deployments=of_name)
    flows = {flow["id"]: flow["name"] for flow in runs(api, "flows", deployments=of_name)}
    return {flows[deployment["flow_id"]]: deployment for deployment in found}


def wait_for(look):
    """Return what a look finds, once it finds anything."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := look():
            return found
        threading.Event().wait(0.1)
    return pytest.fail("looked in vain")


def wait_until_deployed(api, name, *flows):
    """Return an experiment's active deployments by flow, once they are these and polled for."""

    def look():
        found = deployments_of(api, name)
        active = {flow: made for flow, made in found.items() if not made["paused"]}
        is_served = all(made["status"] == "READY" for made in active.values())
        return active if is_served and set(active) == set(flows) else None

    return wait_for(look)


@pytest.mark.parametrize(
    ("name", "model", "flows"),
    [
        ("gridded", "{model: knn, grid: {n_neighbors: [3, 5]}}", {"compare": [CRON], "train": []}),
        ("spacious", "{model: knn, space: {n_neighbors: [3, 5]}}", {"tune": [CRON]}),
    ],
)
def test_the_flows_that_fit_are_served_and_one_is_due_by_itself(
    api, home, tmp_path, name, model, flows
):
    from tenfold.flow import deployments

    file = tmp_path / "experiment.yaml"
    file.write_text(f"name: {name}\nmodels: [{model}]\n")
    with connected(api):  # as an earlier call leaves it that was killed
        (stale,) = {"tune", "compare"} - set(flows)
        getattr(deployments, stale).to_deployment(name, cron=CRON).apply()
    assert not deployments_of(api, name)[stale]["paused"]
    with flows_served(home, str(file), "--cron", CRON):
        served = wait_until_deployed(api, name, *flows)
    found = {
        flow: [schedule["schedule"]["cron"] for schedule in made["schedules"]]
        for flow, made in served.items()
    }
    assert found == flows


def test_the_end_of_serving_pauses_each_deployment_also_while_one_runs(api, home, tmp_path):
    import httpx

    (tmp_path / "endless.py").write_text(ENDLESS)
    options = ("--models", "endless:Endless", "--set", "name=endless", *SETS)
    schedule = ("--cron", CRON, "--flow", "train")
    with flows_served(home, *options, *schedule, PYTHONPATH=str(tmp_path)):
        served = wait_until_deployed(api, "endless", "compare", "train")
        assert [flow for flow, made in served.items() if made["schedules"]] == ["train"]
        wanted = f"{api}/deployments/{served['train']['id']}/create_flow_run"
        run = httpx.post(wanted, json={"state": {"type": "SCHEDULED"}}).raise_for_status().json()
        of_run = {"id": {"any_": [run["id"]]}}
        wait_for(lambda: runs(api, "task_runs", flow_runs=of_run))
    assert {made["paused"] for made in deployments_of(api, "endless").values()} == {True}


def test_a_schedule_that_is_none_is_told_before_anything_is_served(api, home):
    options = ("--models", "sgd", "--set", "name=unserved", "--cron", "every night")
    refused = start("flow", "serve", *options, TENFOLD_HOME=str(home))
    said, errors = refused.communicate(timeout=120)
    assert (refused.returncode, said) == (2, "")
    example = "for example '0 3 * * *': every night at 3"
    assert errors == f"error: --cron is 'every night'; give cron's five fields, {example}\n"
    assert not deployments_of(api, "unserved")
