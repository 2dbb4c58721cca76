"""The note in a workspace that says where its Prefect server is, while that is up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold._optional import require
from tenfold.files import write_text
from tenfold.servers.process import Server, answers
from tenfold.workspace import Workspace


@contextmanager
def remembered(server: Server, workspace: Workspace) -> Iterator[None]:
    """Let other commands find the workspace's Prefect server for as long as the block lasts."""
    note = _note(workspace)
    write_text(note, json.dumps({"url": server.url, "pid": server.pid}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def find_prefect(workspace: Workspace) -> str | None:
    """Return the address of the workspace's Prefect server; None where none is up."""
    try:
        note = json.loads(_note(workspace).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    alive = require("psutil").pid_exists(note["pid"]) and answers(f"{note['url']}/api/health")
    return str(note["url"]) if alive else None


def _note(workspace: Workspace) -> Path:
    return workspace.prefect / "server.json"
