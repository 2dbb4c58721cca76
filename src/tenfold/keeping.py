"""Which graphs stay: those of the best go to their runs, the others are dropped."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Container, Iterable
from pathlib import Path

from tenfold.graphs import GRAPH_FILES, MODEL_FILE
from tenfold.records import TrialResult
from tenfold.tracking import Tracker
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

#: Age at which a graph that waits in the workspace is no longer wanted by whoever made it.
_WAITS_S = 30 * 86_400


def keep_graphs(
    results: Iterable[TrialResult],
    kept: Container[str],
    *,
    workspace: Workspace,
    tracker: Tracker,
    made: Container[str],
    handed_over: Container[str],
) -> None:
    """Keep the graphs of some trials with their runs, and drop those that this experiment made.

    The graph of a trial that was found finished is another experiment's, or that of an earlier
    call of this one: where it is not kept it is left alone, until it is old.

    Args:
        results: Every trial of the experiment.
        kept: The keys of those whose graphs stay.
        workspace: Where graphs wait.
        tracker: Has the runs.
        made: The keys of those that this experiment fitted.
        handed_over: The keys of those whose graphs a worker elsewhere has put to their runs.

    Raises:
        TrackingError: A graph cannot be kept.
    """
    with workspace.locked("graphs"):  # another process may have the same trials
        for result in results:
            folder = workspace.graphs / result.key
            if result.status == "finished" and result.key in kept:
                _keep(result, folder, tracker)
            elif result.key in handed_over:
                tracker.drop(result.run_id, GRAPH_FILES)
            if result.status != "finished" or result.key in kept or result.key in made:
                shutil.rmtree(folder, ignore_errors=True)
        _drop_old(workspace.graphs)


def _keep(result: TrialResult, folder: Path, tracker: Tracker) -> None:
    """Put a graph to its run, where it is not there already."""
    # By name: a killed run may have left half of one beside them.
    found = [folder / name for name in GRAPH_FILES if (folder / name).is_file()]
    if found:
        tracker.attach(result.run_id, found)
    elif result.export_error is None and MODEL_FILE not in tracker.names(result.run_id):
        logger.warning(
            "%s has no graph to export: the experiment that fitted it did not keep it; "
            "run with --fresh to fit it again",
            result.trial.name,
        )


def _drop_old(graphs: Path) -> None:
    oldest = time.time() - _WAITS_S
    for folder in graphs.iterdir() if graphs.is_dir() else ():
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
