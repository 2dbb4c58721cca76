"""Units on Dask workers: the same results as here, whoever dies or refuses; rules at the door."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import distributed
import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from tenfold.cluster import ClusterCaller, ClusterExecutor, check_cluster
from tenfold.cluster.connection import translated
from tenfold.cluster.desk import Desk
from tenfold.config import load_settings, parse_config
from tenfold.errors import (
    ClusterError,
    TrialError,
    TrialStoppedError,
    TrialTimeoutError,
    UsageError,
    WorkerKilledError,
)
from tenfold.fitting import open_split
from tenfold.models import source_sha256
from tenfold.records import FitUnit, Numerics, Trial
from tenfold.runner import NullObserver, UnitRunner
from tenfold.search import expand_grid
from tenfold.servers import Server
from tenfold.tracking import NullTracker
from tenfold.workbench import open_workbench
from tenfold.workspace import Workspace

GATED = """
import os, pathlib, threading
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

HERE = pathlib.Path(__file__).parent

class Gated(ClassifierMixin, BaseEstimator):
    "Number 1 says whose process it is, and waits for ever unless the gate is open."

    def __init__(self, number=0):
        self.number = number

    def fit(self, X, y):
        if self.number == 1 and not (HERE / "open").exists():
            (HERE / "who").write_text(str(os.getppid()))
            (HERE / "waits").open("wb").close()
            threading.Event().wait()
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        share = np.full((len(X), len(self.classes_)), 0.05)
        share[:, self.number] = 0.55
        return share

def hang(payload, on_event):
    on_event({"key": payload["keys"][0], "step": os.getpid(), "steps": 0, "metrics": {}})
    threading.Event().wait()
"""
SERVERS = {
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    "PREFECT_API_URL": "http://prefect:4200/api",
}


@pytest.fixture(scope="module")
def gates(tmp_path_factory):
    """Return the folder of an estimator that waits for its gate."""
    folder = tmp_path_factory.mktemp("gates")
    (folder / "gates.py").write_text(GATED)
    os.mkfifo(folder / "waits")
    return folder


@pytest.fixture(scope="module")
def scheduler(places, tmp_path_factory):
    """Return the address of a scheduler."""
    folder = tmp_path_factory.mktemp("scheduler")
    with Server(places.scheduler(folder)) as server:
        yield places.address_of(server, folder)


@pytest.fixture
def start(places, scheduler, gates, tmp_path):
    """Return what starts a worker with its own home, and waits until it is there."""
    with ExitStack() as stack:

        def start(name, **settings):
            plan = places.worker(scheduler, tmp_path / name, PYTHONPATH=str(gates), **settings)
            server = stack.enter_context(Server(plan))
            with distributed.Client(scheduler, set_as_default=False) as client:
                while name not in {found["name"] for found in workers_of(client)}:
                    assert not server.ended(within_s=0.05), server.describe_end()
            return server

        yield start


@pytest.fixture
def uri(mlflow_server, gates, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    monkeypatch.syspath_prepend(gates)
    monkeypatch.setenv("PYTHONPATH", str(gates))
    return mlflow_server.url


def workers_of(client):
    return client.scheduler_info(n_workers=-1)["workers"].values()


def experiment(name, *models, threads=1):
    fields = {"dataset": {"source": "digits", "cv_below": 0}, "threads": threads}
    return parse_config({"name": name, "models": list(models), **fields}, origin="test")


def fit(config, executor=None):
    """Fit a configuration's trials, without the report, which takes longer than they do."""
    trials = expand_grid(config)
    workbench = open_workbench(
        config, executor, settings=load_settings(), observer=NullObserver(), fresh=False
    )
    with workbench as opened:
        return opened.sweep.fit(trials)


def runs_of(uri, name):
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return [run for run in found if "tenfold.key" in run.data.tags]


def test_a_worker_killed_in_the_middle_changes_no_result(
    scheduler, start, uri, gates, tmp_path, monkeypatch
):
    models = ({"model": "gates:Gated", "grid": {"number": [0, 1, 2]}}, "knn")

    def kill_who_waits():
        (gates / "waits").open("rb").close()  # until a fit is at its gate
        (gates / "open").write_text("")
        os.kill(int((gates / "who").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill_who_waits)
    killer.start()
    start("one")
    start("two")
    elsewhere = fit(experiment("killed", *models), ClusterExecutor(scheduler, uri))
    killer.join()
    assert {result.status for result in elsewhere} == {"finished"}
    runs = runs_of(uri, "killed")
    assert [run.info.status for run in runs] == ["FINISHED"] * len(runs)
    assert len(runs) == len({run.data.tags["tenfold.key"] for run in runs}) == 4
    kept = {item.path for run in runs for item in MlflowClient(uri).list_artifacts(run.info.run_id)}
    assert {"model.onnx", "trial.json", "predictions.npz"} <= kept
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("TENFOLD_HOME", str(tmp_path / "local"))
    here = fit(experiment("killed", *models))
    assert [result.key for result in here] == [result.key for result in elsewhere]
    for one, other in zip(here, elsewhere, strict=True):
        assert np.array_equal(one.predictions.test, other.predictions.test)
        assert np.array_equal(one.predictions.validation, other.predictions.validation)


def test_a_unit_that_one_worker_refuses_goes_to_another(scheduler, start, uri):
    start("small", cores=1)
    config = experiment("refused", "knn", threads=2)
    executor = ClusterExecutor(scheduler, uri)
    (result,) = fit(config, executor)
    assert result.error.startswith("no worker of the cluster may run it: tcp://127.0.0.1")
    assert "threads is 2" in result.error
    start("large")
    (result,) = fit(config, executor)
    assert result.status == "finished"


@pytest.fixture
def unit():
    trial = Trial("gates:Gated", {"number": 0}, "Gated", "number=0", seed=0)
    return FitUnit((trial,), ("key-0",), Numerics("cpu", "float32", 1))


@pytest.fixture
def payload(uri, unit):
    config = experiment("x", "gates:Gated")
    client = MlflowClient(tracking_uri=uri)
    return {
        "dataset": config.dataset.model_dump(mode="json"),
        "data_dir": None,
        "fingerprint": open_split(config.dataset, None)[0].fingerprint,
        "sources": {unit.trials[0].model: source_sha256(unit.trials[0].model)},
        "trials": [{**vars(unit.trials[0]), "params": dict(unit.trials[0].params)}],
        "keys": ["key-0"],
        "numerics": vars(unit.numerics),
        "bases": [],
        "runs": {"key-0": client.create_run("0").info.run_id},
    }


def test_what_an_event_raises_ends_the_call_and_passes_through(
    scheduler, start, uri, unit, payload
):
    start("one")

    class PrunedError(Exception):
        pass

    def on_event(event):
        raise PrunedError

    def call(unit, caller):
        assert isinstance(caller, ClusterCaller)
        with pytest.raises(PrunedError):
            caller.call("gates:hang", payload, on_event=on_event)
        return ()

    assert list(ClusterExecutor(scheduler, uri).run([unit], call)) == [()]


def test_the_experiments_time_ends_a_call(scheduler, start, uri, unit, payload, monkeypatch):
    monkeypatch.setattr("tenfold.cluster.desk._LOOK_S", 0.1)
    start("one")

    def call(unit, caller):
        caller.call("tenfold.fitting:prepare", payload, on_event=print, timeout_s=0.5)
        with pytest.raises(TrialTimeoutError):
            caller.call("gates:hang", payload, on_event=lambda event: None)
        return ()

    assert list(ClusterExecutor(scheduler, uri).run([unit], call)) == [()]


def test_leaving_early_ends_what_runs(scheduler, start, uri, unit, payload):
    start("one")
    running, errors, pids = threading.Event(), [], []

    def on_event(event):
        pids.append(event["step"])
        running.set()

    def call(unit, caller):
        if unit.keys == ("first",):
            running.wait(60)
            return ()
        try:
            caller.call("gates:hang", payload, on_event=on_event)
        except TrialStoppedError as error:
            errors.append(str(error))
        return ()

    first = FitUnit(unit.trials, ("first",), unit.numerics)
    run = ClusterExecutor(scheduler, uri).run([unit, first], call)
    next(run)
    run.close()
    assert errors == ["the run was stopped while this trial was running"]
    wait_for_the_end_of(pids[0])


def test_leaving_early_is_heard_by_a_unit_that_another_process_runs(scheduler, start, uri, unit):
    start("one")
    workspace = Workspace(load_settings().home).open()
    waiting, errors = threading.Event(), []

    class Watcher(NullObserver):
        def said(self, _text):
            waiting.set()

    runner = UnitRunner(
        workspace=workspace,
        tracker=NullTracker(),
        parent="",
        payload={},
        validation_metrics=lambda predictions: {},
        observer=Watcher(),
    )

    def call(unit, caller):
        if unit.keys == ("first",):
            assert waiting.wait(60)
            return ()
        try:
            return runner(unit, caller)
        except TrialStoppedError as error:
            errors.append(str(error))
            return ()

    first = FitUnit(unit.trials, ("first",), unit.numerics)
    with ExitStack() as stack:
        stack.enter_context(workspace.locked(*unit.keys))
        patience = threading.Timer(20, stack.close)  # who does not hear it goes on then
        patience.start()
        run = ClusterExecutor(scheduler, uri).run([unit, first], call)
        next(run)
        run.close()
        assert workspace.is_held(unit.keys[0])
        patience.cancel()
    assert errors == ["the run was stopped before this trial started"]


def test_a_killed_experiment_leaves_no_fit_on_its_workers(scheduler, start, uri, unit, payload):
    start("one")
    script = """
import json, sys
from tenfold.cluster import ClusterExecutor
from tenfold.records import FitUnit, Numerics, Trial
unit = FitUnit((Trial("m", {}, "M", "", 0),), ("key-0",), Numerics("cpu", "float32", 1))
def call(unit, caller):
    caller.call("gates:hang", json.loads(sys.argv[3]),
                on_event=lambda event: print(event["step"], flush=True))
list(ClusterExecutor(sys.argv[1], sys.argv[2]).run([unit], call))
"""
    command = [sys.executable, "-c", script, scheduler, uri, json.dumps(payload)]
    experiment = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid = int(experiment.stdout.readline())
    experiment.kill()
    experiment.communicate()
    wait_for_the_end_of(pid)


def wait_for_the_end_of(pid):
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)


def test_a_scheduler_that_goes_away_ends_the_run(places, gates, uri, unit, payload, tmp_path):
    with Server(places.scheduler(tmp_path)) as scheduler:
        address = places.address_of(scheduler, tmp_path)
        with Server(places.worker(address, tmp_path / "one", PYTHONPATH=str(gates))):

            def call(unit, caller):
                caller.call("gates:hang", payload, on_event=lambda event: places.kill(scheduler))

            with pytest.raises(ClusterError, match="the Dask scheduler went away"):
                list(ClusterExecutor(address, uri).run([unit], call))


def test_no_units_need_no_cluster():
    assert list(ClusterExecutor("tcp://127.0.0.1:1", "").run([], lambda unit, caller: ())) == []


def test_no_scheduler_is_told_in_a_line(places, unit, monkeypatch):
    monkeypatch.setattr("tenfold.cluster.connection._CONNECT_S", 0.2)
    executor = ClusterExecutor(f"tcp://127.0.0.1:{places.free_port()}", "")
    with pytest.raises(ClusterError, match="no Dask scheduler answers at tcp://127.0.0.1"):
        list(executor.run([unit], lambda unit, caller: ()))


def test_a_unit_that_kills_each_of_its_workers_is_told_in_a_line():
    last = SimpleNamespace(address="tcp://127.0.0.1:1")
    error = distributed.KilledWorker("KNN-1", last_worker=last, allowed_failures=3)
    found = translated(error, client=None)
    assert isinstance(found, WorkerKilledError)
    assert "and so did each that took its place" in str(found)
    assert "\n" not in str(found)


def test_missing_certificates_are_told_in_a_line(unit):
    with pytest.raises(UsageError, match="knows no certificates for it: set DASK_DISTRIBUTED"):
        list(ClusterExecutor("tls://127.0.0.1:1", "").run([unit], lambda unit, caller: ()))


def test_no_workers_are_told_in_a_line(scheduler, unit, monkeypatch):
    monkeypatch.setattr("tenfold.cluster.connection._CONNECT_S", 1)
    with pytest.raises(ClusterError, match="has no workers; start one"):
        list(ClusterExecutor(scheduler, "").run([unit], lambda unit, caller: ()))


class Cluster:
    """A scheduler whose workers come and go.

    Args:
        answers: By worker what it answers; one without an answer dies.
        looks: Who is there each time that somebody looks; the last of them stays.
    """

    def __init__(self, answers, *looks):
        self.answers, self.looks = answers, list(looks)
        self.asked, self.on_last_look = [], lambda: None

    def subscribe_topic(self, topic, handler):
        """Nobody sends events."""

    def scheduler_info(self, *, n_workers):  # noqa: ARG002  # Dask's signature
        if len(self.looks) == 1:
            self.on_last_look()
            return {"workers": dict.fromkeys(self.looks[0])}
        return {"workers": dict.fromkeys(self.looks.pop(0))}

    def submit(self, name, request, workers):  # noqa: ARG002  # part of the protocol
        worker = min(workers or self.answers)
        self.asked.append(worker)
        return Task({"worker": worker, **self.answers[worker]} if worker in self.answers else None)


class Task:
    def __init__(self, answer):
        self.answer, self.cancelled = answer, threading.Event()

    def result(self):
        if self.answer is None:
            self.cancelled.wait()
        return json.dumps(self.answer)

    def cancel(self):
        self.cancelled.set()


OTHER = {"refused": "other profile"}
OFFLINE = {"refused": "no mirror gave mnist", "passing": True}
DONE = {"answer": {"folders": []}}


@pytest.fixture
def ask(monkeypatch):
    """Return what asks the workers of a made-up cluster, and looks at them often."""
    monkeypatch.setattr("tenfold.cluster.desk._LOOK_S", 0.001)
    asked = {"payload": {"numerics": {}, "dataset": {}}, "sources": {}}

    def ask(desk, until=None):
        return desk.ask("unit", asked, on_event=print, until=until)

    return ask


def test_a_worker_that_comes_back_under_another_address_is_waited_for(ask):
    looks = ["A", "B"], ["A", "B"], ["A"], ["A"], ["A"], ["A", "B2"]
    cluster = Cluster({"A": OTHER, "B2": DONE}, *looks)
    assert ask(Desk(cluster, "", cluster.submit)) == DONE["answer"]
    assert cluster.asked == ["A", "B", "B2"]


def test_a_worker_that_stays_away_is_waited_for_once(ask, monkeypatch):
    monkeypatch.setattr("tenfold.cluster.desk._GRACE_S", 0)
    cluster = Cluster({"A": OTHER}, ["A", "B"], ["A", "B"], ["A"])
    desk = Desk(cluster, "", cluster.submit)
    with pytest.raises(TrialError, match="no worker of the cluster may run it: A: other profile"):
        ask(desk)
    monkeypatch.setattr("tenfold.cluster.desk._GRACE_S", 1e9)
    with pytest.raises(TrialError, match="A: other profile"):
        ask(desk)
    assert cluster.asked == ["A", "B"]


def test_where_every_worker_refused_nobody_waits(ask, monkeypatch):
    monkeypatch.setattr("tenfold.cluster.desk._GRACE_S", 1e9)
    cluster = Cluster({"A": OTHER, "B": OTHER}, ["A", "B"])
    with pytest.raises(TrialError, match="A: other profile; B: other profile"):
        ask(Desk(cluster, "", cluster.submit))


def test_the_experiments_time_ends_the_wait_for_a_worker(ask):
    cluster = Cluster({"A": OTHER}, ["A", "B"], ["A"])
    with pytest.raises(TrialTimeoutError):
        ask(Desk(cluster, "", cluster.submit), until=0.0)


def test_leaving_early_ends_the_wait_for_a_worker(ask):
    cluster = Cluster({"A": OTHER}, ["A", "B"], ["A"])
    desk = Desk(cluster, "", cluster.submit)
    cluster.on_last_look = desk.close
    with pytest.raises(TrialStoppedError):
        ask(desk)


def test_a_download_that_failed_bars_no_worker_from_the_next_unit(ask):
    cluster = Cluster({"A": OFFLINE}, ["A"])
    desk = Desk(cluster, "", cluster.submit)
    with pytest.raises(TrialError, match="may run it: A: no mirror gave mnist"):
        ask(desk)
    cluster.answers["A"] = DONE
    assert ask(desk) == DONE["answer"]


def test_a_unit_whose_download_failed_goes_to_another_worker(ask):
    cluster = Cluster({"A": OFFLINE, "B": DONE}, ["A", "B"])
    assert ask(Desk(cluster, "", cluster.submit)) == DONE["answer"]
    assert cluster.asked == ["A", "B"]


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tls://far:8786"],
)
def test_a_cluster_here_or_with_tls_may_be_used(address):
    check_cluster(address, insecure=False, tracking="mlflow", environ=SERVERS)


def test_a_cluster_elsewhere_without_tls_must_be_allowed():
    check_cluster("tcp://far:8786", insecure=True, tracking="mlflow", environ=SERVERS)
    with pytest.raises(UsageError, match="use tls://, or allow it with --insecure-cluster"):
        check_cluster("tcp://far:8786", insecure=False, tracking="mlflow", environ=SERVERS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"address": "far:8786"}, "--cluster is 'far:8786': a Dask scheduler's address is needed"),
        ({"address": "http://far:8786"}, "a Dask scheduler's address is needed"),
        ({"tracking": "none"}, "--cluster needs tracking: mlflow"),
        ({"environ": {}}, "set MLFLOW_TRACKING_URI"),
        (
            {"environ": {**SERVERS, "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}},
            "it is 'sqlite:///mlflow.db'",
        ),
        ({"environ": {**SERVERS, "PREFECT_API_URL": ""}}, "set PREFECT_API_URL"),
        ({"address": "tls://ann:secret@far:8786"}, "--cluster is 'tls://ann:***@far:8786'"),
        (
            {"environ": {**SERVERS, "MLFLOW_TRACKING_URI": "ann:secret@mlflow:5000"}},
            "it is not shown, for it may hold a password",
        ),
        (
            {"environ": {**SERVERS, "PREFECT_API_URL": "ann:secret@far:4200/api"}},
            "it is not shown, for it may hold a password",
        ),
        (
            {"environ": {**SERVERS, "PREFECT_API_URL": "ftp://ann:secret@far:4200/api"}},
            "it is 'ftp://ann:***@far:4200/api'",
        ),
    ],
)
def test_what_a_cluster_needs_is_told_in_a_line(change, reason):
    given = {"address": "tls://far:8786", "tracking": "mlflow", "environ": SERVERS, **change}
    with pytest.raises(UsageError) as caught:
        check_cluster(given.pop("address"), insecure=False, **given)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
