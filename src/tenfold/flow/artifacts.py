"""What a flow run leaves on Prefect's page: the leaderboard, and where the report is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from tenfold.config import ExperimentConfig
from tenfold.evaluation import Leaderboard, Row


class Reported(Protocol):
    """What an experiment or a tuning came to."""

    @property
    def config(self) -> ExperimentConfig:
        """What was run."""
        ...

    @property
    def leaderboard(self) -> Leaderboard:
        """The rows."""
        ...

    @property
    def report(self) -> Path:
        """The report."""
        ...


def publish(result: Reported) -> None:
    """Make the artifacts of the flow run that is under way."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    key = re.sub(r"[^a-z0-9]+", "-", result.config.name).strip("-")
    board = result.leaderboard
    create_table_artifact(
        key=f"{key}-leaderboard",
        table=[_cells(row) for row in board.ranked],
        description=f"{result.config.name}: {board.n_test:,} sealed test images",
    )
    winner = f"Winner: **{board.winner.name}**.\n\n" if board.winner else ""
    create_markdown_artifact(
        key=f"{key}-report",
        markdown=f"{winner}[Report]({result.report.as_uri()}): `{result.report}`",
        description=f"{result.config.name}: report",
    )


def _cells(row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {"model": row.title, "parameter": row.label, "status": row.status}
    if row.scores is None:
        return {**cells, "error": row.error}
    accuracy = row.scores.accuracy
    return {
        **cells,
        "accuracy": round(accuracy.value, 4),
        "95 % from": round(accuracy.low, 4),
        "95 % to": round(accuracy.high, 4),
        "F1": round(row.scores.f1_weighted.value, 4),
        "fit s": round(row.fit_s, 2),
    }
