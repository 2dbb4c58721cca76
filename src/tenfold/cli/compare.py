"""`tenfold compare`: many models on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.running import (
    Cluster,
    Dataset,
    Executor,
    Fresh,
    InsecureCluster,
    Json,
    Sets,
    TimeLimit,
    comparison,
    overrides_of,
    run,
    tell,
)


def compare(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file; see experiments/.", show_default=False)
    ] = None,
    dataset: Dataset = None,
    models: Annotated[
        str | None, typer.Option(help="Models, separated by commas.", metavar="A,B")
    ] = None,
    sets: Sets = None,
    executor: Executor = "auto",
    cluster: Cluster = None,
    insecure_cluster: InsecureCluster = False,
    time_limit_s: TimeLimit = None,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Train models on the same data, choose the best on validation rows, report on the test rows.

    Finished trials are remembered: the same command run again goes on where it stopped.
    """
    overrides = overrides_of(sets, time_limit_s=time_limit_s)
    made = comparison(config, models, overrides, dataset)
    result = run(
        made,
        executor,
        flow="compare",
        fresh=fresh,
        cluster=cluster,
        insecure_cluster=insecure_cluster,
    )
    tell(result, json=json)
