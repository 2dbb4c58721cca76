"""A PostgreSQL server for one measurement or test: a folder and a port of its own, then gone."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tenfold.servers import Server, ServerPlan

#: PostgreSQL refuses to run as root; Debian's package brings this user.
USER = "postgres"
ROLE = "tenfold"
_PROGRAMS = ("initdb", "postgres")
_START_S = 120.0


def find_binaries() -> Path | None:
    """Return the newest folder with PostgreSQL's programs, None where there is none to be run."""
    if os.getuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return None
    on_path = [Path(found).parent for name in _PROGRAMS if (found := shutil.which(name))]
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in (*packaged, *on_path):
        if all((folder / name).exists() for name in _PROGRAMS):
            return folder
    return None


@contextmanager
def running_postgres(*, durable: bool = True) -> Iterator[str]:
    """Give the URL of a new, empty database; the server and its files end with the block.

    Args:
        durable: Whether it waits for the disk, as one that is needed tomorrow does.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
        ServerError: It does not start.
    """
    with kept_postgres(durable=durable) as (plan, url), Server(plan):
        wait_until_ready(url)
        yield url


@contextmanager
def kept_postgres(*, durable: bool = True) -> Iterator[tuple[ServerPlan, str]]:
    """Give the plan of a server and its URL, for whoever ends and starts it again.

    Args:
        durable: As of `running_postgres`.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    binaries = find_binaries()
    if binaries is None:
        raise FileNotFoundError("PostgreSQL is not installed; Debian's package is `postgresql`")
    # Not below a folder of pytest, into which no other user may look.
    place = Path(tempfile.mkdtemp(prefix="tenfold-postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(place, USER, USER)
        cluster = place / "data"
        initdb = [binaries / "initdb", "-D", cluster, "-U", ROLE, "-A", "trust", "--no-sync"]
        subprocess.run(
            as_user([*map(str, initdb), "-E", "UTF8", "--locale=C"]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=place,
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(place),
            "fsync": "on" if durable else "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        plan = ServerPlan(
            name="PostgreSQL",
            command=as_user([str(binaries / "postgres"), "-D", str(cluster), *options]),
            url=f"127.0.0.1:{port}",
            health="",
            log=place / "server.log",
            folder=place,
        )
        yield plan, f"postgresql+psycopg://{ROLE}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def wait_until_ready(url: str) -> None:
    """Return once a server takes connections.

    Raises:
        OperationalError: It does not within two minutes.
    """
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def as_user(command: list[str]) -> list[str]:
    """Return a command that runs as PostgreSQL's user where this process is root."""
    if os.getuid():
        return command
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
