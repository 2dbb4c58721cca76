"""What a cluster must be and have before it is used."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from tenfold.config import without_password
from tenfold.errors import UsageError


def check_cluster(
    address: str, *, insecure: bool, tracking: str, environ: Mapping[str, str]
) -> None:
    """Check that a cluster may be used, and that it has what it needs.

    Args:
        address: Of the scheduler.
        insecure: Whether the user allowed a cluster without TLS off this machine.
        tracking: Where the experiment's trials are remembered.
        environ: Environment variables.

    Raises:
        UsageError: It may not; one line says what to do.
    """
    found = re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^:/\s]+):(\d{1,5})", address)
    if not found:
        raise UsageError(
            f"--cluster is {_shown(address)}: a Dask scheduler's address is needed, "
            "tcp://127.0.0.1:8786 or tls://HOST:8786 for example"
        )
    if found[1] == "tcp" and not insecure and not _is_loopback(found[2]):
        raise UsageError(
            f"--cluster is {address!r}: whoever reaches a cluster without TLS can run programs on "
            "it; use tls://, or allow it with --insecure-cluster where you trust the network"
        )
    if tracking != "mlflow":
        raise UsageError(
            f"--cluster needs tracking: mlflow, which carries the results; it is {tracking!r}"
        )
    uri, api = environ.get("MLFLOW_TRACKING_URI", ""), environ.get("PREFECT_API_URL", "")
    if not uri.startswith(("http://", "https://")):
        raise UsageError(
            "--cluster needs an MLflow server that every worker reaches: set MLFLOW_TRACKING_URI "
            f"to its http:// or https:// address; it is {_shown(uri)} "
            "(docs/scaling.md starts one)"
        )
    if not api.startswith(("http://", "https://")):
        raise UsageError(
            "--cluster needs a Prefect server that every worker reaches: set PREFECT_API_URL to "
            f"its http:// or https:// address; it is {_shown(api)} (docs/scaling.md starts one)"
        )


def _shown(address: str) -> str:
    """Return an address for a message, unless it may hold a password in a place unknown."""
    if "@" in address and "://" not in address:
        return "not shown, for it may hold a password"
    return repr(without_password(address))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
