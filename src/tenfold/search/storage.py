"""Where studies are kept: an SQLite file for one machine, a PostgreSQL server for several."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tenfold._optional import require
from tenfold.config import without_password
from tenfold.errors import StorageError, StudyError
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_FORMS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
_CONNECT_S = 10
_BUSY_S = 60


class StudyStorage:
    """The database of studies, opened.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://…``; None: ``studies.db`` in the workspace.
        workspace: Where that lies.
        patience_s: Seconds for which a server that has gone away is waited for.

    Attributes:
        shown: The address without a password.
        is_shared: Whether processes of other machines may use it too.
        backend: Optuna's storage.

    Raises:
        StudyError: The address is not understood, or nothing can be opened there.
        MissingExtraError: Optuna or the driver of PostgreSQL is not installed.
    """

    def __init__(self, url: str | None, workspace: Workspace, *, patience_s: float = 120) -> None:
        optuna = require("optuna")
        self._alchemy: Any = require("sqlalchemy")
        self._patience_s = patience_s
        self._url = self._parsed(url or f"sqlite:///{workspace.home / 'studies.db'}")
        self.shown = self._url.render_as_string(hide_password=True)
        self.is_shared: bool = self._url.get_backend_name() == "postgresql"
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it warns of is waited for
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._lock_engine = self._alchemy.create_engine(
            self._url, poolclass=self._alchemy.pool.NullPool, connect_args=self._arguments()
        )
        # Optuna raises a RuntimeError where the tables are those of another of its versions.
        failures: tuple[type[Exception], ...] = (*self._failures(), RuntimeError)
        try:
            with self.locked("init"):
                self.backend: Any = optuna.storages.RDBStorage(
                    self._url.render_as_string(hide_password=False),
                    engine_kwargs={"connect_args": self._arguments(), "pool_pre_ping": True},
                )
        except StorageError as error:
            raise StudyError(str(error)) from error
        except failures as error:
            raise StudyError(
                f"the studies' storage {self.shown} cannot be opened: {_first_line(error)}; start "
                f"the server or give another address: {_FORMS}"
            ) from error
        if not self.is_shared:
            self._alchemy.event.listen(self.backend.engine, "connect", _spare_the_disk)
            self.backend.engine.dispose()  # the connections from before the listener

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep every other process that uses this storage out of a block of the same name.

        Raises:
            StorageError: The lock files cannot be written.
        """
        if not self.is_shared:
            # Beside the file, where processes of every workspace meet; it is held for moments.
            file = Path(f"{self._url.database}.lock").resolve()
            try:
                lock = require("filelock").FileLock(file, is_singleton=False).acquire()
            except OSError as error:
                raise StorageError(
                    f"cannot lock {file}: {error.strerror or error}; make its folder writable, or "
                    "give another --storage"
                ) from error
            with lock:
                yield
            return
        # The server frees it when the connection ends, however this process does.
        statement = self._alchemy.text("SELECT pg_advisory_lock(:number)")
        with self._lock_engine.connect() as connection:
            connection.execute(statement, {"number": _number(f"tenfold {name}")})
            yield

    def insist(self, action: Callable[[], Answer]) -> Answer:
        """Return what an action on the storage gives, tried again while the server is away.

        Args:
            action: May be called several times.

        Raises:
            StorageError: The storage did not come back.
        """
        deadline, wait_s = time.monotonic() + self._patience_s, 0.1
        while True:
            try:
                return action()
            except self._failures() as error:
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"the studies' storage {self.shown} failed: {_first_line(error)}; "
                        "the same command goes on when it is back"
                    ) from error
                logger.info("waiting for %s: %s", self.shown, _first_line(error))
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 5.0)

    def _parsed(self, url: str) -> Any:
        try:
            parsed = self._alchemy.engine.make_url(url)
        # A port that is no number raises ValueError.
        except (self._alchemy.exc.ArgumentError, ValueError) as error:
            shown = without_password(url)
            raise StudyError(f"{shown!r} is no address of a storage; allowed: {_FORMS}") from error
        kind = parsed.drivername.partition("+")[0]
        if kind in ("postgresql", "postgres"):
            require("psycopg")
            return parsed.set(drivername="postgresql+psycopg")
        if kind != "sqlite" or parsed.database in (None, "", ":memory:"):
            shown = parsed.render_as_string(hide_password=True)
            raise StudyError(f"studies cannot be kept in {shown!r}; allowed: {_FORMS}")
        folder = Path(parsed.database).parent
        if not folder.is_dir():
            raise StudyError(
                f"studies cannot be kept in {parsed.database!r}: there is no folder {folder}; make "
                "it, or give another --storage"
            )
        return parsed

    def _arguments(self) -> dict[str, Any]:
        if self._url.get_backend_name() == "postgresql":
            return {"connect_timeout": _CONNECT_S}
        return {"timeout": _BUSY_S}

    def _failures(self) -> tuple[type[Exception], ...]:
        return (
            require("optuna").exceptions.StorageInternalError,
            self._alchemy.exc.SQLAlchemyError,
        )


def _spare_the_disk(connection: Any, _: Any) -> None:
    """Let SQLite wait for the disk now and then instead of at each of a trial's many notes.

    A process may be killed at any moment and nothing is lost; a power cut may cost the last notes.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _number(name: str) -> int:
    """Return the number of a lock, as PostgreSQL wants it: below 2**63."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def _first_line(error: BaseException) -> str:
    """Return what was wrong first, without the library's advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
