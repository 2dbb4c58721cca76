"""The model card: what ``bundle.json`` says, for people."""

from __future__ import annotations

import re
from textwrap import dedent

from tenfold.bundle.info import BundleInfo

_MEANINGS = {
    "accuracy": "share of the images that were given their class",
    "precision_macro": "of those given a class, the share that is of it; mean over the classes",
    "precision_weighted": "the same, weighted by each class's images",
    "recall_macro": "of those of a class, the share that was given it; mean over the classes",
    "recall_weighted": "the same, weighted: the accuracy",
    "f1_macro": "harmonic mean of precision and recall, mean over the classes",
    "f1_weighted": "the same, weighted",
    "fbeta_macro": "F-beta with β = 2, in which recall counts more; mean over the classes",
    "fbeta_weighted": "the same, weighted",
    "roc_auc": "chance that an image of a class is scored above one of another",
    "log_loss": "mean negative logarithm of the true class's probability; lower is better",
    "ece": "how far the probabilities are from what comes true; lower is better",
}

_COMPARED = {
    "held out": "On validation images, which it had not learned from",
    "held out from the train fit": (
        "In the fit before it, on validation images that only this one has learned from"
    ),
    "learned from": "On validation images, which it has learned from",
}


def render_card(info: BundleInfo) -> bytes:
    """Return the content of ``MODEL_CARD.md``."""
    return "\n".join((_about(info), _scores(info), _limits(info), _use(info))).encode()


def _about(info: BundleInfo) -> str:
    height, width = info.image_shape
    return dedent(
        f"""\
        # {info.name}

        {_text(info.title)}: a classifier of grey images of {height}x{width} pixels into
        {len(info.class_names)} classes.

        - Classes: {", ".join(map(_code, info.class_names))}
        - Model: {_code(info.model)}; parameters: {_params(info)}
        - Pictures: {info.style.ink} ink, {_frame(info)}
        - Licence: {_text(info.licence)}
        - Written {info.created:%Y-%m-%d} by tenfold {info.versions.tenfold}
        - Trial: `{info.trial_key}`

        ## Data

        Trained on {_text(info.dataset)}. Fitted on: {info.fitted_on}. SHA-256 of the data's
        content: `{info.fingerprint}`.

        ## How it was chosen

        {_text(info.chosen_by)}

        ## Scores
        """
    )


def _params(info: BundleInfo) -> str:
    return ", ".join(_code(f"{name}={value}") for name, value in info.params.items()) or "none"


def _text(words: str) -> str:
    """Return words that Markdown and HTML show as they are."""
    escaped = re.sub(r"([\\`*_\[\]<>|#!~$])", r"\\\1", words)
    return escaped.replace("&", "&amp;")


def _code(words: str) -> str:
    """Return words between more backticks than they have in a row themselves."""
    fence = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    space = " " if "`" in words else ""
    return f"{fence}{space}{words}{space}{fence}"


def _frame(info: BundleInfo) -> str:
    return "which fills the frame" if info.style.fills_frame else "in a box of 20/28 of the frame"


def _scores(info: BundleInfo) -> str:
    if not info.scores:
        return "None are known."
    rows = [
        f"| {name} | {score.value:.4f} | {score.low:.4f} to {score.high:.4f} "
        f"| {_MEANINGS.get(name, '')} |"
        for name, score in info.scores.items()
    ]
    lines = (
        f"On {info.test_images:,} test images that no choice was made by.",
        "",
        "| score | value | 95 % interval | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
        "The intervals cover the sampling of the test set, not retraining.",
    )
    return "\n".join(lines)


def _limits(info: BundleInfo) -> str:
    text = dedent(
        f"""
        ## Limits

        - The scores hold for images like those of the data above, prepared in the same way. Other
          pens, cameras and people give other scores: measure them with `tenfold evaluate`.
        - {_doubt(info)}
        - The graph was compared with its estimator on {info.parity.images:,} images: it gave the
          same labels, and probabilities within {info.parity.largest_difference:.1g}.
        """
    )
    return text + _int8(info)


def _use(info: BundleInfo) -> str:
    height, width = info.image_shape
    return dedent(
        f"""\
        ## How to use it

        ```console
        $ tenfold predict picture.png --model PATH
        $ tenfold evaluate --model PATH --dataset DATA
        ```

        ```python
        import tenfold

        answers = tenfold.load_bundle("PATH").predict(images)  # uint8, one row each
        ```

        `model.onnx` alone answers too, in any ONNX runtime: `images`, uint8, one row of
        {height * width} grey levels each, gives `label`, `probabilities` and `outlier_score`.
        """
    )


def _int8(info: BundleInfo) -> str:
    found = info.quantization
    if found is None:
        return ""
    before = found.accuracy_before
    return dedent(
        f"""\
        - Afterwards it was turned into 8-bit numbers. {_COMPARED[found.compared_on]}, they changed
          {found.labels_changed} of {found.images:,} labels: accuracy {found.accuracy:.4f}, before
          {before.value:.4f} ({before.low:.4f} to {before.high:.4f}). The scores above are of the
          graph in this bundle.
        """
    )


def _doubt(info: BundleInfo) -> str:
    outlier = info.thresholds.outlier
    if outlier is None:
        return "It has no threshold for pictures of something else: it gives any picture a class."
    return (
        f"An image with an outlier score above {outlier:.4g} is probably none of its classes; "
        "not every such image is found."
    )
