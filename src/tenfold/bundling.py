"""From a finished experiment to a bundle of its winner, or of the best of one model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from tenfold.bundle import Bundle, BundleFacts, DataFacts, Score, Thresholds, write_bundle
from tenfold.config import DatasetConfig, Settings, name_for
from tenfold.data import Dataset, Split, list_datasets
from tenfold.errors import CorruptDataError, UsageError, nearest
from tenfold.evaluation import Scores
from tenfold.fitting import open_split, read_folder
from tenfold.graphs import MODEL_FILE, FittedGraph
from tenfold.imaging import measure_style
from tenfold.quantizing import quantize
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

_RESULTS = "results.json"
_NEEDED = {"best", "config", "fingerprint", "rank_by", "rows", "select_images", "winner"}
_Facts = TypeVar("_Facts", bound=DataFacts)
_NEXT_STEPS = {
    "licence": "give its name or address, for example 'CC BY 4.0'",
    "class_names": "rename it in the data",
    "image_shape": "make the images smaller",
}


def check_data(config: DatasetConfig, data_dir: Path | None) -> None:
    """See, before a training, that a bundle can tell of its data.

    Args:
        config: Which data.
        data_dir: Where data sets lie; None: the user's cache.

    Raises:
        UsageError: A class name or the size of the images is none that a bundle may have, or the
            data cannot be used.
    """
    dataset, split = open_split(config, data_dir)
    _stated(
        DataFacts,
        dataset=_describe_data(dataset)[0],
        class_names=split.class_names,
        image_shape=split.image_shape,
    )


def export_bundle(
    experiment: str,
    path: Path,
    *,
    created: datetime,
    settings: Settings,
    model: str | None = None,
    licence: str | None = None,
    int8: bool = False,
) -> Bundle:
    """Write a bundle of what an experiment found.

    Args:
        experiment: Its name.
        path: The bundle's folder, or ``*.zip``.
        created: Now.
        settings: Where the workspace and the data lie.
        model: A model of it, of which the best recipe is taken; default: the winner.
        licence: On what terms the model may be used; default: not stated, and whose data it knows.
        int8: Write a network's variant in 8-bit numbers, with its own scores.

    Raises:
        ExportError: There is no int8 variant, or its accuracy does not hold.
        UsageError: There is no such experiment or model, its graph was not kept, or a bundle may
            not say what is given.
        ParityError: The graph answers otherwise than the estimator; nothing was written.
        TrackingError: MLflow cannot be reached.
        StorageError: The bundle cannot be written.
    """
    workspace = Workspace(settings.home)
    document = _read_results(workspace, experiment)
    row = _find_row(document, model, experiment)
    dataset, split = open_split(DatasetConfig(**document["config"]["dataset"]), settings.data_dir)
    if dataset.fingerprint != document["fingerprint"]:
        raise CorruptDataError(
            f"{dataset.source}: its content changed since the experiment {experiment!r}; "
            "run it again"
        )
    graph, record = _read_trial(workspace, row, experiment)
    labels = graph.probabilities.argmax(axis=1)
    data, citation = _describe_data(dataset)
    small = None
    if int8:
        train_fit = _read_train_fit(workspace, row)
        small = quantize(graph.model, split, trial_key=row["test_key"], train_fit=train_fit)
    scores = _scores(row) if small is None else _scores_of(small.scores)
    return write_bundle(
        path,
        model=graph.model,
        facts=_stated(
            BundleFacts,
            name=name_for(f"{experiment}-{model.rpartition(':')[2]}" if model else experiment),
            title=f"{_title(row)}, int8" if int8 else _title(row),
            model=row["model"],
            params=row["params"],
            class_names=split.class_names,
            image_shape=split.image_shape,
            style=measure_style(split.images, split.image_shape),
            calibration=record["calibration"],
            thresholds=Thresholds(outlier=graph.outlier_threshold),
            quantization=None if small is None else small.facts,
            scores=scores,
            test_images=document["test_images"],
            dataset=data,
            fingerprint=dataset.fingerprint,
            split=split.key,
            fitted_on=row["fitted_on"],
            chosen_by=_chosen_by(document, row, split),
            trial_key=row["test_key"],
            licence=licence or f"not stated. The data: {citation}.",
            created=created,
        ),
        images=split.images[graph.rows],
        labels=labels.astype(np.int64),
        probabilities=graph.probabilities,
        learned=split.images,
        int8=None if small is None else small.model,
    )


def _read_results(workspace: Workspace, experiment: str) -> dict[str, Any]:
    folder = workspace.home / "results"
    found = [path.parent.name for path in folder.glob(f"*/{_RESULTS}")]
    if experiment not in found:
        listed = nearest(experiment, found) if found else "run `tenfold compare` first."
        raise UsageError(f"{folder} has no finished experiment {experiment!r}. {listed}")
    path = folder / experiment / _RESULTS
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        known = document.keys() >= _NEEDED
    except (ValueError, AttributeError):
        raise CorruptDataError(f"{path} is damaged; run the experiment again") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if not known:
        raise UsageError(f"{experiment!r} was run by an older tenfold; run it again")
    return document


def _find_row(document: Mapping[str, Any], model: str | None, experiment: str) -> dict[str, Any]:
    best = document["best"]
    if model is not None and model not in best:
        raise UsageError(
            f"no trial of {model!r} finished in {experiment!r}. {nearest(model, best)}"
        )
    key = document["winner"] if model is None else best[model]
    row: dict[str, Any] = next(row for row in document["rows"] if row["key"] == key)
    return row


def _read_trial(
    workspace: Workspace, row: Mapping[str, Any], experiment: str
) -> tuple[FittedGraph, Mapping[str, Any]]:
    """Return the graph that was kept with the trial of a row, and the trial's record."""
    tracker = MlflowTracker(workspace, None)
    why = "no graph was kept with its trial; run the experiment again with --fresh"
    run_id = tracker.finished().get(row["test_key"])
    if run_id is not None:
        with tracker.folder(run_id) as folder:
            record, _, _ = read_folder(folder)
            if (folder / MODEL_FILE).exists():
                return FittedGraph.read(folder), record
            why = record["export_error"] or why
    raise UsageError(f"{_title(row)} of {experiment!r} cannot be exported: {why}")


def _read_train_fit(workspace: Workspace, row: Mapping[str, Any]) -> bytes | None:
    """Return the graph of a row's recipe that saw the train rows alone, if there is one."""
    tracker = MlflowTracker(workspace, None)
    run_id = tracker.finished().get(row["key"])
    if row["fitted_on"] == "all development rows" or run_id is None:
        return None
    with tracker.folder(run_id) as folder:
        path = folder / MODEL_FILE
        return path.read_bytes() if path.exists() else None


def _stated(kind: type[_Facts], **fields: Any) -> _Facts:
    """Return what a bundle says, if it may.

    Raises:
        UsageError: A value breaks a rule.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "class_names"
        shape = first["type"] == "string_pattern_mismatch"
        rule = "Text should be one line without tabs" if shape else first["msg"]
        raise UsageError(
            f"a bundle cannot have {name}: {str(first['input'])[:80]!r}. {rule}; "
            f"{_NEXT_STEPS.get(name, 'change it')}"
        ) from error


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['title']} {row['parameter']}".rstrip()


def _scores(row: Mapping[str, Any]) -> dict[str, Score]:
    """Return the scores that are defined."""
    return {
        name: Score(**found)
        for name, found in row["scores"].items()
        if found is not None and None not in found.values()
    }


def _scores_of(scores: Scores) -> dict[str, Score]:
    return {
        name: Score(value=found.value, low=found.low, high=found.high)
        for name, found in scores.intervals().items()
        if found.defined
    }


def _chosen_by(document: Mapping[str, Any], row: Mapping[str, Any], split: Split) -> str:
    what, tried = "the best", _count_tried(document)
    n_tried = sum(tried.values())
    if row["key"] != document["winner"]:
        what, n_tried = f"the best {row['title']}, not the best of all,", tried[row["model"]]
    images = f"{document['select_images']:,}"
    how = f"on {images} validation images, held out from the fit"
    if split.cross_validated:
        repeats = len(split.validation_rows) // len(split.images)
        how = f"in {len(split.rounds) // repeats}-fold cross-validation of {images} images"
        how += f", repeated {repeats} times" if repeats > 1 else ""
    return (
        f"It is {what} of {n_tried} by {document['rank_by']} {how}. "
        "The test images had no part in any choice."
    )


def _count_tried(document: Mapping[str, Any]) -> Counter[str]:
    """Return by model how many recipes were tried: more than have a row, where it was searched."""
    tried = Counter(row["model"] for row in document["rows"])
    for study in document.get("studies", ()):
        ended = [trial for trial in study["trials"] if trial["state"] != "running"]
        tried[study["model"]] = len(ended)
    for grid in document.get("grids", ()):
        tried[grid["model"]] = grid["combinations"]
    return tried


def _describe_data(dataset: Dataset) -> tuple[str, str]:
    """Return a data set's name for people, and whom to cite; own data by their name alone."""
    for entry in list_datasets():
        if entry.title == dataset.source:
            return entry.title, entry.citation
    return dataset.name, f"one's own, {dataset.name}"
