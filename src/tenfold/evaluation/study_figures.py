"""The figures of studies: which there are and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tenfold.evaluation import study_plots
from tenfold.evaluation.style import Picture, svg_picture
from tenfold.histories import StudyHistory

STUDY_FIGURES = r"study-[a-z0-9-]+-(history|importances|parallel|slice-[a-z0-9-]+|steps|front)\.svg"
"""A pattern of every name that such a figure may have."""


def draw_studies(histories: Sequence[StudyHistory]) -> Iterator[Picture]:
    """Draw each study; what it has no data for is left out. Draw inside `chart_style`.

    Args:
        histories: The studies, one for each model.
    """
    for history in histories:
        if history.of("finished"):
            yield from _draw_one(history, study_prefix(history))


def study_prefix(history: StudyHistory) -> str:
    """Return what the names of a study's figures begin with."""
    return f"study-{_slug(history.model)}-"


def _draw_one(history: StudyHistory, prefix: str) -> Iterator[Picture]:
    title, finished = history.title, history.of("finished")
    alt = f"Value of {len(history.trials)} trials of {title}, and the best so far"
    axes = study_plots.plot_history(history)
    yield svg_picture(f"{prefix}history", f"{title}: trial after trial", alt, axes)
    if history.importances:
        first = max(history.importances, key=lambda name: history.importances[name])
        alt = f"Importance of the parameters of {title}; {first} matters most"
        left_out = [name for name in history.space if name not in history.importances]
        axes = study_plots.plot_importances(history.importances, left_out=left_out)
        yield svg_picture(f"{prefix}importances", f"{title}: what mattered", alt, axes)
    if len(history.objectives) > 1:
        alt = f"{history.objectives[0]} over {history.objectives[1]} of {len(finished)} trials"
        axes = study_plots.plot_front(history)
        searched = history.objectives[0].replace("_", " ")
        yield svg_picture(f"{prefix}front", f"{title}: {searched} against time", alt, axes)
    if any(trial.steps for trial in history.trials):
        pruned = len(history.of("pruned"))
        alt = f"What {len(history.trials)} trials of {title} reported; {pruned} were pruned"
        axes = study_plots.plot_steps(history)
        yield svg_picture(f"{prefix}steps", f"{title}: step by step", alt, axes)
    alt = f"Parameters and value of {len(finished)} finished trials of {title}"
    axes = study_plots.plot_parallel(history)
    yield svg_picture(f"{prefix}parallel", f"{title}: parallel coordinates", alt, axes)
    for name in study_plots.sliced(history):
        alt = f"Value of the finished trials of {title} over {name}"
        axes = study_plots.plot_slice(history, name)
        yield svg_picture(f"{prefix}slice-{_slug(name)}", f"{title}: {name}", alt, axes)


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
