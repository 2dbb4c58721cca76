"""`tenfold evaluate` and `tenfold predict`: what a bundled model says, and how far to trust it."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli.data import (
    DataDir,
    GroupColumn,
    Json,
    LabelColumn,
    Shape,
    Target,
    print_warning,
)

Model = Annotated[
    Path, typer.Option("--model", help="A bundle: the folder, or the .zip.", metavar="BUNDLE")
]


def evaluate(
    model: Model,
    dataset: Annotated[
        str, typer.Option(help="A data set's name or path; see `tenfold data list`.")
    ],
    target: Target = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_shape: Shape = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Score a model on the test images of a data set, with 95 % intervals."""
    from tenfold.assessment import evaluate as assess
    from tenfold.bundle import load_bundle

    found = assess(
        load_bundle(model),
        dataset,
        target=target,
        label_column=label_column,
        group_column=group_column,
        image_shape=image_shape,
        data_dir=data_dir,
    )
    intervals = {
        name: interval for name, interval in found.scores.intervals().items() if interval.defined
    }
    if json:
        facts = {
            "model": found.info.name,
            "title": found.info.title,
            "dataset": found.dataset,
            "fingerprint": found.fingerprint,
            "test_images": found.scores.n,
            "left_out": found.left_out,
            "warnings": list(found.warnings),
            "scores": {
                name: {"value": interval.value, "low": interval.low, "high": interval.high}
                for name, interval in intervals.items()
            },
            "confusion": found.scores.confusion.tolist(),
            "class_names": list(found.info.class_names),
            "outlier_share": found.outlier_share,
        }
        typer.echo(json_module.dumps(facts, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{found.info.title} on {found.scores.n:,} test images of {found.dataset}")
    for name, interval in intervals.items():
        ends = f"{interval.low:.4f} to {interval.high:.4f}"
        typer.echo(f"  {name:<20} {interval.value:.4f}   {ends}")
    if found.left_out:
        typer.echo(f"  left out, for the model has learned from them: {found.left_out:,} images")
    if found.outlier_share is not None:
        typer.echo(f"  taken for none of its classes: {found.outlier_share:.1%}")
    for warning in found.warnings:
        print_warning(warning)
    typer.echo("The intervals (95 %) cover the sampling of the test set, not retraining.")


def predict(
    files: Annotated[
        list[Path],
        typer.Argument(help="Pictures of one digit each, or .npy arrays.", show_default=False),
    ],
    model: Model,
    json: Json = False,
) -> None:
    """Say what pictures show, one line each: file, class, probability, and whether it is strange.

    A file that cannot be read is told on stderr, the others are answered, and the exit code is 1.
    """
    from tenfold.bundle import load_bundle
    from tenfold.errors import ImageError
    from tenfold.imaging import load_images

    bundle = load_bundle(model)
    shape, style = bundle.info.image_shape, bundle.info.style
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for path in files:
        try:
            images = load_images(path, shape, style=style)
        except ImageError as error:
            typer.echo(f"error: {path}: {error}", err=True)
            errors.append({"file": str(path), "error": str(error)})
            continue
        for row in _rows(path, bundle, images):
            rows.append(row)
            if not json:
                mark = "\toutlier" if row["outlier"] else ""
                typer.echo(f"{row['name']}\t{row['class']}\t{row['probability']:.4f}{mark}")
    if json:
        answer = {"model": bundle.info.name, "predictions": rows, "errors": errors}
        json_module.dump(answer, sys.stdout, indent=2, ensure_ascii=False)
        typer.echo()
    if errors:
        raise typer.Exit(1)


def _rows(path: Path, bundle: Any, images: Any) -> Iterator[dict[str, Any]]:
    """Yield one answer for each image of a file."""
    answers = bundle.predict(images)
    for index, label in enumerate(answers.labels.tolist()):
        yield {
            "name": str(path) if len(images) == 1 else f"{path}[{index}]",
            "file": str(path),
            "index": index,
            "label": label,
            "class": answers.class_names[index],
            "probability": float(answers.probabilities[index, label]),
            "outlier_score": float(answers.outlier_scores[index]),
            "outlier": bool(answers.outliers[index]),
        }
