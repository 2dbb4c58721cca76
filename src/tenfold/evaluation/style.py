"""How charts look and how they become pictures: one palette, one set of matplotlib settings."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tenfold._optional import require

INK, MUTED, GRID, SURFACE = "#1d2433", "#5c6675", "#dfe3ea", "#fefefe"
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)
RUST = "#b34700"
"""Vermillion for small text: dark enough to be read on white."""
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Line colours that colour-blind people tell apart (Okabe and Ito, "Color universal design")."""

CSS_NAMES: Mapping[str, str] = MappingProxyType(
    {
        INK: "ink",
        MUTED: "muted",
        GRID: "grid",
        SURFACE: "surface",
        BLUE: "blue",
        VERMILLION: "vermillion",
        GREEN: "green",
        PURPLE: "purple",
        ORANGE: "orange",
        SKY: "sky",
    }
)
"""The CSS variable that stands for each colour in a page with a dark scheme."""

_FONT = "DejaVu Sans"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": GRID,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": MUTED,
        "axes.labelsize": 9,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "figure.facecolor": SURFACE,
        "font.family": [_FONT],
        "font.size": 9,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "legend.edgecolor": "none",
        "legend.facecolor": "none",
        "legend.fontsize": 8.5,
        "legend.labelcolor": INK,
        "lines.linewidth": 1.8,
        "savefig.facecolor": SURFACE,
        "svg.fonttype": "none",
        "svg.hashsalt": "tenfold",
        "text.color": INK,
        # A class may be called "$5".
        "text.parse_math": False,
        "xtick.color": GRID,
        "xtick.labelcolor": INK,
        "xtick.labelsize": 8.5,
        "ytick.color": GRID,
        "ytick.labelcolor": INK,
        "ytick.labelsize": 8.5,
    }
)

WITHIN_ITS_AXES: Mapping[str, Any] = MappingProxyType({"in_layout": False})
"""For many marks that lie inside their axes: to measure them for the layout takes half the time."""

_SHEET_DPI = 110
_POINTS_PER_REM = 10.2
"""A chart grows with its page until its letters are nearly as large as the page's."""


@dataclass(frozen=True)
class Picture:
    """One drawn figure.

    Args:
        name: File name without its ending.
        title: A heading for people.
        alt: What it shows, for who cannot see it.
        mime: ``"image/svg+xml"`` or ``"image/png"``.
        data: The file's content.
    """

    name: str
    title: str
    alt: str
    mime: str
    data: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """Name with the ending that fits the content."""
        return f"{self.name}.{'svg' if self.mime == 'image/svg+xml' else 'png'}"


def svg_picture(name: str, title: str, alt: str, axes: Any) -> Picture:
    """Return the figure of some axes as an SVG picture; the texts are those of `Picture`."""
    return Picture(name, title, alt, "image/svg+xml", to_svg(axes))


def png_picture(name: str, title: str, alt: str, axes: Any) -> Picture:
    """Return the figure of some axes as a PNG picture; the texts are those of `Picture`."""
    return Picture(name, title, alt, "image/png", to_png(axes, dpi=_SHEET_DPI))


@contextmanager
def chart_style() -> Iterator[None]:
    """Draw with tenfold's settings and leave matplotlib's own as they were."""
    matplotlib = require("matplotlib")
    colours = {"axes.prop_cycle": matplotlib.cycler(color=SERIES)}
    with matplotlib.rc_context({**_SETTINGS, **colours}), warnings.catch_warnings():
        # Names may need letters that the font lacks; whoever opens the SVG has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_axes(width: float = 4.8, height: float = 3.4, *, bare: bool = False) -> Any:
    """Return the axes of a new figure that belongs to no window and no global state.

    Args:
        width: Inches.
        height: Inches.
        bare: The axes fill the figure, and nothing stands around them. It is then drawn once; to
            find the room for titles and ticks, matplotlib draws a figure twice.
    """
    make_figure = require("matplotlib.figure").Figure
    if bare:
        return make_figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    return make_figure(figsize=(width, height), layout="constrained").add_subplot()


def to_svg(axes: Any) -> bytes:
    """Return the figure as SVG with real text; equal figures give equal bytes.

    Args:
        axes: Any axes of the figure.
    """
    buffer = io.BytesIO()
    with chart_style():
        axes.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # matplotlib writes the control characters of a name as they are.
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", buffer.getvalue().decode()).encode()


def to_png(axes: Any, *, dpi: int = 144) -> bytes:
    """Return the figure as PNG.

    Args:
        axes: Any axes of the figure.
        dpi: Pixels per inch.
    """
    buffer = io.BytesIO()
    with chart_style():
        axes.figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def inline_svg(svg: bytes, *, name: str) -> str:
    """Return an SVG as an element for a page, its colours as the page's CSS variables.

    Args:
        svg: What `to_svg` returned.
        name: Prefix that keeps its ids apart from those of other figures.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Within tags alone: between them stands what users named.
    text = re.sub(r"<[^>]*>", lambda tag: _adapt(tag.group(), name), text)
    size = re.search(r'width="([\d.]+)pt" height="[\d.]+pt"', text)
    assert size is not None, "matplotlib gives an SVG its size in points"
    widest = float(size[1]) / _POINTS_PER_REM
    fluid = f'style="max-width:{widest:.1f}rem" aria-hidden="true" focusable="false"'
    return text.replace(size[0], fluid, 1)


def _adapt(tag: str, name: str) -> str:
    """Return a tag with the page's font and colours and with its ids under a prefix."""
    tag = re.sub(r'style="[^"]*"', _use_variables, tag)
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = tag.replace('href="#', f'href="#{name}-')
    return tag.replace("url(#", f"url(#{name}-")


def _use_variables(style: re.Match[str]) -> str:
    """Return a style attribute with the page's font and colours."""
    text = style.group().replace(f"'{_FONT}'", "var(--font)")
    for colour, variable in CSS_NAMES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
