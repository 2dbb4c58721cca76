"""`tenfold data`: what data sets there are, fetching them, looking at them, checking them."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tenfold.cli.parsing import parse_path, parse_png, parse_shape

app = typer.Typer(help="List, fetch, show and check data sets.", no_args_is_help=True)


Source = Annotated[
    str, typer.Argument(metavar="D", help="A name of `tenfold data list`, or a path.")
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON and nothing else.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        parser=parse_path,
        help="Where named data sets lie; default: TENFOLD_DATA_DIR, or the user's cache.",
    ),
]
Target = Annotated[
    str | None, typer.Option(help="A class name: makes the task 'this class or another'.")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column or array of the labels; default: found, or the first.")
]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column or array of who wrote an image; folders: 'prefix'.")
]
Shape = Annotated[
    Any,
    typer.Option(
        "--image-shape",
        metavar="HxW",
        parser=parse_shape,
        help="Height and width, where the files do not say it; folders are resized to it.",
    ),
]


@app.command("list")
def list_(data_dir: DataDir = None, json: Json = False) -> None:
    """List the data sets that are known by name, and whether they are here."""
    from tenfold.data import find_data_dir, list_datasets

    folder = find_data_dir(data_dir)
    facts = [
        {
            "name": entry.name,
            "title": entry.title,
            "description": entry.description,
            "height": entry.shape[0],
            "width": entry.shape[1],
            "classes": list(entry.class_names),
            "n_train": entry.n_train,
            "n_test": entry.n_test,
            "ready": entry.is_ready(folder),
            "citation": entry.citation,
        }
        for entry in list_datasets()
    ]
    if json:
        typer.echo(json_module.dumps({"data_dir": str(folder), "datasets": facts}, indent=2))
        return
    for fact in facts:
        state = "ready" if fact["ready"] else f"`tenfold data fetch {fact['name']}`"
        typer.echo(f"{fact['name']:<14} {fact['description']:<76} {state}")
    typer.echo(f"Data sets lie in {folder} (set TENFOLD_DATA_DIR to move them).")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="D", help="A name of `tenfold data list`.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Fetch a data set, unless it is here; a fetch that was cut off goes on."""
    from tenfold.data import fetch_dataset, find_data_dir, get_entry, load_dataset

    entry = get_entry(name)
    folder = find_data_dir(data_dir)
    ready = entry.is_ready(folder)
    meter = _Meter()
    found = fetch_dataset(entry, folder, on_progress=meter.show)
    meter.close()
    dataset = load_dataset(name, data_dir=folder)
    if json:
        facts = {"name": name, "fetched": not ready, "fingerprint": dataset.fingerprint}
        facts["files"] = [str(path) for _, path in found.values()]
        typer.echo(json_module.dumps(facts, indent=2))
        return
    done = "was here" if ready else "fetched"
    where = folder / entry.folder if found else "scikit-learn"
    typer.echo(f"{entry.title} {done} and is intact: {where}")


@app.command()
def show(
    source: Source,
    index: Annotated[int, typer.Option(min=0, help="Row, from 0.")] = 0,
    split: Annotated[
        Literal["train", "test"],
        typer.Option(help="Rows that may be learned from, or test rows (without label)."),
    ] = "train",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", parser=parse_png, help="Write the image as PNG."),
    ] = None,
    scale: Annotated[int, typer.Option(min=1, max=64, help="Enlarge each pixel so often.")] = 1,
    target: Target = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_shape: Shape = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Take one image out by its row number, say what it is, and write it as PNG."""
    from tenfold.data.pictures import draw_image, save_png
    from tenfold.errors import UsageError

    made = _split(source, target, label_column, group_column, image_shape, data_dir)
    images = made.images if split == "train" else made.test.images
    if index >= len(images):
        raise UsageError(
            f"--index is {index}, and {source} has {len(images):,} {split} images: "
            f"allowed are 0 to {len(images) - 1}"
        )
    height, width = made.image_shape
    facts: dict[str, Any] = {"index": index, "split": split, "height": height, "width": width}
    facts["label"] = made.class_names[int(made.labels[index])] if split == "train" else None
    if out is not None:
        side = scale * max(made.image_shape)
        save_png(draw_image(images[index], made.image_shape, least_side=side), out)
        facts["file"] = str(out)
    if json:
        facts["pixels"] = images[index].reshape(height, width).tolist()
        typer.echo(json_module.dumps(facts))
        return
    label = facts["label"] if split == "train" else "(sealed)"
    typer.echo(f"{source} {split} image {index}: label {label}, {height}x{width} pixels")
    typer.echo(f"written to {out}" if out else "add --out digit.png to write it")


@app.command()
def samples(
    source: Source,
    out: Annotated[
        Path, typer.Option(metavar="FILE.png", parser=parse_png, help="PNG to write.")
    ] = Path("samples.png"),
    per_class: Annotated[int, typer.Option(min=1, max=100, help="Images of each class.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = 0,
    target: Target = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_shape: Shape = None,
    data_dir: DataDir = None,
) -> None:
    """Write a picture with some images of every class."""
    from tenfold.data.pictures import draw_samples, save_png

    made = _split(source, target, label_column, group_column, image_shape, data_dir)
    save_png(draw_samples(made, per_class=per_class, seed=seed), out)
    typer.echo(f"written to {out}")


@app.command()
def check(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", parser=parse_png, help="PNG of the images in question."),
    ] = None,
    target: Target = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_shape: Shape = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Look for copies between training and test, blank and odd images, and rare classes."""
    from tenfold.data import audit_split
    from tenfold.data.pictures import draw_audit, save_png

    made = _split(source, target, label_column, group_column, image_shape, data_dir)
    audit = audit_split(made)
    if out is not None:
        save_png(draw_audit(made, audit), out)
    if json:
        from dataclasses import asdict

        facts = {"split": made.description, **asdict(audit), "warnings": list(audit.warnings)}
        facts["file"] = out and str(out)
        typer.echo(json_module.dumps(facts, indent=2))
        return
    typer.echo(made.description)
    for name, count, meaning in audit.rows():
        typer.echo(f"{name:<40} {count:>9,}   {meaning}")
    for warning in audit.warnings:
        print_warning(warning)
    if not audit.warnings:
        typer.echo("nothing that would make scores wrong was found")
    if out is not None:
        typer.echo(f"written to {out}")


def print_warning(text: str) -> None:
    """Print a warning, yellow on a terminal unless the user wants no colours."""
    coloured = not os.environ.get("NO_COLOR")
    typer.secho(f"warning: {text}", fg="yellow" if coloured else None, reset=coloured)


class _Meter:
    """Shows on stderr how far a download is: in place on a terminal, else a line per file."""

    def __init__(self) -> None:
        self._file = ""
        self._in_place = sys.stderr.isatty()

    def show(self, name: str, done: int, total: int | None) -> None:
        """Take note of what has come so far."""
        if self._in_place:
            size = f" of {total / 2**20:.1f}" if total else ""
            typer.echo(f"\r{name}: {done / 2**20:.1f}{size} MiB \033[K", nl=False, err=True)
        elif name != self._file:
            typer.echo(f"fetching {name}", err=True)
        self._file = name

    def close(self) -> None:
        """End the line that was written in place."""
        if self._in_place and self._file:
            typer.echo(err=True)


def _split(
    source: str,
    target: str | None,
    label_column: str | None,
    group_column: str | None,
    image_shape: tuple[int, int] | None,
    data_dir: Path | None,
) -> Any:  # a Split, whose module is too heavy for the top of this file
    from tenfold.data import load_dataset, split_for_looking

    return split_for_looking(
        load_dataset(
            source,
            target=target,
            label_column=label_column,
            group_column=group_column,
            image_shape=image_shape,
            data_dir=data_dir,
        )
    )
