import matplotlib as mpl
import pytest

from tenfold.evaluation import Picture
from tenfold.evaluation.style import chart_style, inline_svg, new_axes, to_png, to_svg


def draw(label="$5_{"):
    with chart_style():
        axes = new_axes()
        axes.plot([1, 2], label=label)
        axes.set_title(label)
        axes.legend()
        return axes


def test_the_style_ends_with_its_block():
    before = mpl.rcParams["axes.grid"], mpl.rcParams["svg.fonttype"]
    with chart_style():
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert (mpl.rcParams["axes.grid"], mpl.rcParams["svg.fonttype"]) == before


def test_equal_charts_give_equal_bytes_without_a_date():
    assert to_svg(draw()) == to_svg(draw())
    assert b"dc:date" not in to_svg(draw())
    assert to_png(draw()).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name",
    [
        "$5_{",
        "$x_1$",
        "<script>alert(1)</script>",
        "a & b",
        "日本語",
        "-->x",
        'id="q" style="#1d2433" href="#y" url(#z)',
    ],
)
def test_any_name_is_text_and_nothing_else(name):
    from xml.etree import ElementTree as ET

    svg = inline_svg(to_svg(draw(name)), name="chart")
    assert "<script" not in svg
    root = ET.fromstring(svg)
    assert name in "".join(root.itertext())


def test_a_control_character_in_a_name_does_not_spoil_the_file():
    from xml.etree import ElementTree as ET

    svg = to_svg(draw("a\x01\x0b\x1f\ufffe b"))
    assert "a���� b" in "".join(ET.fromstring(svg).itertext())


def test_an_inline_chart_follows_the_page():
    svg = inline_svg(to_svg(draw()), name="chart")
    assert svg.startswith("<svg ")
    assert "var(--ink)" in svg
    assert "var(--blue)" in svg
    assert "#1d2433" not in svg
    assert "DejaVu" not in svg
    assert 'height="' not in svg[: svg.index(">")]
    assert 'id="chart-' in svg
    assert "url(#chart-" in svg


def test_a_picture_knows_its_file_name_and_hides_its_bytes():
    picture = Picture("accuracy", "Accuracy", "alt", "image/svg+xml", b"<svg/>")
    assert picture.file_name == "accuracy.svg"
    assert Picture("sheet", "Sheet", "alt", "image/png", b"").file_name == "sheet.png"
    assert "<svg" not in repr(picture)
