"""The processes that share a training: started, heard and ended together."""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, distributed

from tenfold.errors import TenfoldError, TrainingMemoryError, TrainingProcessError
from tenfold.files import write_bytes, write_text
from tenfold.models.torch.distributed import Ranks
from tenfold.models.torch.plan import Trained, TrainingPlan
from tenfold.models.torch.rows import Rows
from tenfold.models.torch.trainer import OnEpoch, tell_nobody

Send = Callable[..., None]

_PLAN, _ROWS, _WEIGHTS, _MEETING = "plan.json", "rows.safetensors", "weights.safetensors", "meeting"
_GRACE_S = 5.0
# How a rank ends that is let go before it is done, and one that must be stopped.
_LET_GO, _STOPPED = 3, -15
# All ranks are on this machine: nothing listens where another one could connect.
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_FOREVER = timedelta(days=365)  # the parent ends ranks that wait for one that died


def train_in_ranks(
    plan: TrainingPlan,
    rows: Rows,
    validation: Rows | None = None,
    *,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train in several new processes of this machine, on one GPU each or on the processor.

    They are given files and send lines of JSON; only tensors pass between them. When this process
    ends, however it does, they end.

    Args:
        plan: The training; ``plan.processes`` is at least 2.
        rows: What the network learns from.
        validation: Rows to report each epoch on, and to stop early by.
        on_epoch: As for `tenfold.models.torch.trainer.train`; the training goes on meanwhile.

    Raises:
        TrainingProcessError: One of the processes failed; the others were ended.
        TrainingMemoryError: The memory of one of them is too small.
        StorageError: The temporary folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="tenfold-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tensors = {"images": rows.images, "codes": rows.codes}
        if validation is not None:
            tensors |= {"held_images": validation.images, "held_codes": validation.codes}
        _write_tensors(folder / _ROWS, tensors)
        write_text(folder / _PLAN, plan.to_json())
        with closing(_Processes(folder, plan.processes)) as processes:
            done = processes.wait(on_epoch or tell_nobody)
        network = plan.start(rows)
        network.load_state_dict(load_file(folder / _WEIGHTS))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(network, **done)


class _Process:
    """One rank's process; what it says goes into a queue, line by line, and None at its end."""

    def __init__(
        self, folder: Path, rank: int, lines: queue.SimpleQueue[tuple[int, str | None]]
    ) -> None:
        loopback = _LOOPBACK.get(sys.platform)
        names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as this object
        self._popen = subprocess.Popen(
            [sys.executable, "-c", "from tenfold.models.torch.ranks import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env={**os.environ, **(dict.fromkeys(names, loopback) if loopback else {})},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its ranks
        )

        def pump(stream: IO[str]) -> None:
            with stream:
                for line in stream:
                    if line.endswith("\n"):  # else it died as it wrote
                        lines.put((rank, line))
            lines.put((rank, None))

        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        threading.Thread(target=pump, args=(self._popen.stdout,), daemon=True).start()
        with suppress(OSError):  # that it died at once is heard elsewhere
            self._popen.stdin.write(json.dumps({"folder": str(folder), "rank": rank}) + "\n")
            self._popen.stdin.flush()

    @property
    def died(self) -> bool:
        """Whether it ended, and not because its parent wanted it to."""
        return self._popen.poll() not in {None, 0, _LET_GO, _STOPPED}

    def last_words(self) -> str:
        """Return how it ended, and the last lines of its standard error."""
        code = self._popen.wait()
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = " (the system may have run out of memory)" if code == -9 else ""
        self._stderr.seek(0)
        tail = self._stderr.read().decode(errors="replace").strip().splitlines()[-5:]
        return f"its process ended with {reason}{hint}. {' / '.join(tail)}".strip()

    def let_go(self) -> None:
        """Tell it to end, and close its input."""
        stdin = self._popen.stdin
        assert stdin is not None
        if not stdin.closed:
            with suppress(OSError), stdin:
                stdin.write("end\n")

    def end(self) -> None:
        """Wait until it is gone; stop it where it does not end by itself."""
        try:
            self._popen.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._popen.terminate()
            self._popen.wait()

    def close(self) -> None:
        """Forget its standard error."""
        self._stderr.close()


class _Processes:
    """All ranks of a training.

    Args:
        folder: Holds what they are given.
        n: How many there are.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._lines: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self._processes = [_Process(folder, rank, self._lines) for rank in range(n)]

    def wait(self, on_epoch: OnEpoch) -> dict[str, Any]:
        """Return what rank 0 answers, once all are done.

        Args:
            on_epoch: Is given each of rank 0's reports, in this thread.
        """
        answers: dict[int, dict[str, Any]] = {}
        while len(answers) < len(self._processes):
            rank, line = self._lines.get()
            message = {} if line is None else json.loads(line)
            if "report" in message:
                on_epoch(message["epoch"], message["report"])
            elif "log" in message:
                name, level, text = message["log"]
                logging.getLogger(name).log(level, "%s", text)
            elif "done" in message:
                answers[rank] = message["done"]
            else:
                raise self._failure(rank, message)
        return answers[0]

    def close(self) -> None:
        """End those that still run, and forget what they wrote."""
        self._end()
        for process in self._processes:
            process.close()

    def _end(self) -> None:
        for process in self._processes:
            process.let_go()
        for process in self._processes:
            process.end()

    def _failure(self, rank: int, message: Mapping[str, str]) -> TenfoldError:
        """End all and return why; a rank may have failed only for want of another that died."""
        self._end()
        dead = [number for number, process in enumerate(self._processes) if process.died]
        if dead or not message:
            rank = dead[0] if dead else rank
            return TrainingProcessError(self._of(rank) + self._processes[rank].last_words())
        if message["error"] == TrainingMemoryError.__name__:
            return TrainingMemoryError(self._of(rank) + message["text"])
        error = TrainingProcessError(f"{self._of(rank)}{message['error']}: {message['text']}")
        error.add_note(message["traceback"])
        return error

    def _of(self, rank: int) -> str:
        return f"rank {rank} of the {len(self._processes)} processes of a training failed: "


def serve() -> None:
    """Train as the rank that standard input names, until it closes; the main of its process."""
    given = json.loads(sys.stdin.readline())
    folder, rank = Path(given["folder"]), int(given["rank"])
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the messages
    trained, let_go = threading.Event(), threading.Event()

    def listen() -> None:
        if not sys.stdin.read():
            shutil.rmtree(folder, ignore_errors=True)  # the parent was killed and cannot
        if not trained.is_set():
            os._exit(_LET_GO)
        let_go.set()

    def send(**message: Any) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    threading.Thread(target=listen, daemon=True).start()
    try:
        done = _train(folder, rank, send)
    except Exception as error:
        where = "".join(traceback.format_exception(error))
        send(error=type(error).__name__, text=str(error), traceback=where)
        let_go.wait()  # gone at once, this rank would let the others fail for want of it
    else:
        trained.set()
        send(done=done)
        let_go.wait()
        distributed.destroy_process_group()


def _train(folder: Path, rank: int, send: Send) -> dict[str, Any]:
    """Take part in the training; as rank 0, report the epochs and write the weights."""
    plan = TrainingPlan.from_json((folder / _PLAN).read_text(encoding="utf-8"))
    device = torch.device("cpu")
    if plan.device == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if plan.device == "cuda" else "gloo",
        store=distributed.FileStore(str(folder / _MEETING)),  # type: ignore[attr-defined]
        rank=rank,
        world_size=plan.processes,
        timeout=_FOREVER,
        device_id=device if plan.device == "cuda" else None,
    )
    tensors = load_file(folder / _ROWS, device=str(device))
    rows, held = Rows(tensors["images"], tensors["codes"]), None
    if "held_images" in tensors:
        held = Rows(tensors["held_images"], tensors["held_codes"])
    if rank:
        plan.run(rows, held, team=Ranks(device))
        return {}
    logging.getLogger("tenfold").addHandler(_Sender(send))
    logging.getLogger("tenfold").setLevel(logging.INFO)
    trained = plan.run(
        rows,
        held,
        on_epoch=lambda epoch, report: send(epoch=epoch, report=dict(report)),
        team=Ranks(device),
    )
    _write_tensors(folder / _WEIGHTS, trained.network.state_dict())
    return {"n_epochs": trained.n_epochs, "resumed_s": trained.resumed_s}


class _Sender(logging.Handler):
    """Sends what is logged to the parent."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._send(log=[record.name, record.levelno, record.getMessage()])


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain))
