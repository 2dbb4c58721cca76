"""Servers: up when they say so, and gone with whoever started them, whatever ended that one."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tenfold.errors import MissingExtraError, PortTakenError, ServerError
from tenfold.servers import (
    LOOPBACK,
    Server,
    ServerPlan,
    find_prefect,
    mlflow_plan,
    prefect_plan,
    remembered,
)

#: Answers every request, and has a child in a process group of its own.
PAGE = """
import http.server, subprocess, sys
wait = "import signal, threading; signal.signal(15, signal.SIG_DFL); threading.Event().wait()"
child = subprocess.Popen([sys.executable, "-c", wait], start_new_session=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(child.pid).encode())
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
#: Is ready once it answers, and takes longer than other servers to end, as it has to write.
SLOW = """
import http.server, signal, sys, threading
def end(*_):
    threading.Event().wait(4)
    open("written", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STARTER = """
import pathlib, sys
from test_servers import plan
from tenfold.servers import Server
server = Server(plan(pathlib.Path(sys.argv[1])))
server.wait_until_ready()
print(server.pid, flush=True)
sys.stdin.read()
"""


def plan(folder, *, program=PAGE, **fields):
    """Return the plan of a server that is ready within a moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    url = f"http://{LOOPBACK}:{port}"
    return ServerPlan(
        name="Page",
        command=[sys.executable, "-c", program, str(port)],
        url=url,
        health=url,
        log=folder / "page.log",
        folder=folder,
        **fields,
    )


def tree(pid):
    """Return a process and all below it."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def alive(process):
    """Say whether a process is more than an entry that nobody took away."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("manners", ["SIG_DFL", "SIG_IGN"])
def test_a_server_ends_with_all_that_it_started(tmp_path, manners):
    program = PAGE.replace("SIG_DFL", manners)
    with Server(plan(tmp_path, program=program)) as server:
        server.wait_until_ready()
        processes = tree(server.pid)
        assert len(processes) == 3
        assert not server.ended(within_s=0)
    assert not any(alive(process) for process in processes)


@pytest.mark.parametrize(("fields", "written"), [({"end_limit_s": 60}, True), ({}, False)])
def test_a_server_has_the_time_to_end_that_its_plan_gives(tmp_path, fields, written):
    with Server(plan(tmp_path, program=SLOW, **fields)) as server:
        server.wait_until_ready()
    assert (tmp_path / "written").exists() is written


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_a_parent_that_is_killed(tmp_path, how):
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as parent:
        processes = tree(int(parent.stdout.readline()))
        parent.send_signal(how)
    _, left = psutil.wait_procs(processes, timeout=120)
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="a service of Linux")
def test_a_server_ends_when_the_process_between_is_killed(tmp_path):
    with Server(plan(tmp_path)) as server:
        server.wait_until_ready()
        between, page, of_page = tree(server.pid)
        between.kill()
        _, left = psutil.wait_procs([page], timeout=60)
        of_page.kill()
    assert left == []


def test_a_server_that_ends_while_it_starts_is_told_with_its_last_words(tmp_path):
    server = Server(plan(tmp_path, program="raise SystemExit('no luck today')"))
    with server, pytest.raises(ServerError, match=r"Page ended by itself: no luck today"):
        server.wait_until_ready()


def test_a_server_that_never_answers_is_ended(tmp_path):
    server = Server(plan(tmp_path, program="import threading; threading.Event().wait()"))
    with server, pytest.raises(ServerError, match="did not answer at http://127"):
        server.wait_until_ready(limit_s=0.1)
    assert server.ended(within_s=0)


def test_no_proxy_is_asked_for_a_server_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(plan(tmp_path)) as server:
        server.wait_until_ready()
        assert not server.ended(within_s=0)


#: Answers its first request in no protocol.
GARBAGE = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    with listening.accept()[0] as asked:
        asked.recv(1000)
        asked.sendall(b"no such protocol\\r\\n\\r\\n")
"""


def test_an_answer_that_is_none_of_http_is_no_answer(tmp_path):
    with Server(plan(tmp_path, program=GARBAGE + PAGE)) as server:
        server.wait_until_ready()
        assert not server.ended(within_s=0)


def test_no_other_user_can_read_a_password_of_mlflows_database(workspace, monkeypatch):
    address = "postgresql://ann:secret@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    made = mlflow_plan(workspace, port=port)
    assert "secret" not in " ".join(made.command)
    assert made.environ["MLFLOW_BACKEND_STORE_URI"] == address


def test_a_port_that_is_taken_is_told(workspace):
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        for make in (mlflow_plan, prefect_plan):
            with pytest.raises(PortTakenError, match=f"cannot listen on 127.0.0.1:{port}"):
                make(workspace, port=port)


def test_the_prefect_server_keeps_its_home_in_the_workspace_and_calls_nobody(
    workspace, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    made = prefect_plan(workspace)
    assert made.environ["PREFECT_HOME"] == str(workspace.prefect)
    assert made.environ["DO_NOT_TRACK"] == "1"
    assert made.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert made.environ["PREFECT_API_URL"] is None
    assert made.environ["PREFECT_UI_API_URL"] == f"{made.url}/api"


@pytest.mark.parametrize("make", [prefect_plan, lambda workspace: mlflow_plan(workspace, port=1)])
def test_what_is_not_installed_is_told(workspace, monkeypatch, make):
    for module in ("prefect", "mlflow"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tenfold\["):
        make(workspace)


def test_a_server_is_found_while_it_is_up_and_not_after(workspace):
    assert find_prefect(workspace) is None
    with Server(plan(workspace.home)) as server:
        server.wait_until_ready()
        with remembered(server, workspace):
            note = workspace.prefect / "server.json"
            assert json.loads(note.read_text()) == {"url": server.url, "pid": server.pid}
            assert find_prefect(workspace) == server.url
            kept = note.read_text()
        assert find_prefect(workspace) is None
    note.write_text(kept)  # as one leaves it that is killed
    assert find_prefect(workspace) is None
