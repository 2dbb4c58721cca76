import gzip

import numpy as np
import pytest

from tenfold.data import load_dataset
from tenfold.errors import ConfigError, CorruptDataError

ROWS = ("7,0,10,20,255", "1,5,5,200,0", "7,9,8,7,6", "1,1,2,3,255")
PIXELS = [[0, 10, 20, 255], [5, 5, 200, 0], [9, 8, 7, 6], [1, 2, 3, 255]]


def check(dataset, pixels=PIXELS, names=("1", "7"), labels=(1, 0, 1, 0)):
    assert dataset.images.tolist() == pixels
    assert dataset.class_names == names
    assert dataset.labels.tolist() == list(labels)


def test_without_a_header_the_first_row_is_an_image(csv):
    dataset = load_dataset(csv(*ROWS))
    check(dataset)
    assert dataset.image_shape == (2, 2)
    assert dataset.test is None


@pytest.mark.parametrize(
    "header",
    ["label,p0,p1,p2,p3", "digit,a,b,c,d", "label,0,1,2,3", "label,1,2,3,4", "0,1,2,3,4"],
)
def test_a_header_is_found(csv, header):
    check(load_dataset(csv(header, *ROWS)))


def test_text_labels_do_not_make_the_first_row_a_header(csv):
    rows = [row.replace("7,", "sept,", 1).replace("1,", "un,", 1) for row in ROWS]
    dataset = load_dataset(csv("sept,0,10,20,255", *rows[1:]))
    assert dataset.class_names == ("sept", "un")
    assert len(dataset) == 4


def test_the_label_column_is_found_by_its_usual_name(csv):
    rows = [f"{row.partition(',')[2]},{row[0]}" for row in ROWS]
    check(load_dataset(csv("p0,p1,p2,p3,Label", *rows)))


def test_the_label_column_may_be_named(csv):
    rows = [f"{row.partition(',')[2]},{row[0]}" for row in ROWS]
    path = csv("p0,p1,p2,p3,digit", *rows)
    check(load_dataset(path, label_column="digit"))
    with pytest.raises(ConfigError, match="label_column is 'digits'.* Did you mean 'digit'?"):
        load_dataset(path, label_column="digits")


def test_the_group_column_is_no_pixel(csv):
    rows = [f"{row},{writer}" for row, writer in zip(ROWS, "abab", strict=True)]
    dataset = load_dataset(csv("label,p0,p1,p2,p3,who", *rows), group_column="who")
    check(dataset)
    assert dataset.groups.tolist() == [0, 1, 0, 1]


def test_a_named_column_needs_a_header(csv):
    with pytest.raises(ConfigError, match="group_column is 'who'.* no header row: add one"):
        load_dataset(csv(*ROWS), group_column="who")


def test_the_row_numbers_that_pandas_writes_are_no_pixels(csv):
    rows = [f"{number},{row}" for number, row in enumerate(ROWS)]
    check(load_dataset(csv(",label,0,1,2,3", *rows)))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_separators_are_found(csv, delimiter):
    check(load_dataset(csv(*[row.replace(",", delimiter) for row in ROWS])))


def test_quotes_are_understood(csv):
    rows = ['"a, b",0,10,20,255', '"c",5,5,200,0', '"a, b",9,8,"7",6', "c,1,2,3,255"]
    check(load_dataset(csv('"label","p0",p1,p2,p3', *rows)), names=("a, b", "c"), labels=(0, 1) * 2)


def test_packed_files_byte_order_marks_and_blank_lines_are_read(tmp_path):
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + "\n\n".join(ROWS)).encode()))
    dataset = load_dataset(path)
    check(dataset)
    assert dataset.name == "data"


def test_labels_written_as_floats_are_whole_numbers(csv):
    rows = [row[0] + ".0" + row[1:] for row in ROWS]
    check(load_dataset(csv(*rows)))


def test_leading_zeros_of_labels_are_kept(csv):
    rows = [row.replace("7,", "07,", 1) if row[0] == "7" else row for row in ROWS]
    assert load_dataset(csv(*rows)).class_names == ("1", "07")


def test_a_rectangle_needs_its_shape(csv):
    rows = [f"{row},0,0" for row in ROWS]
    assert load_dataset(csv(*rows), image_shape=(2, 3)).image_shape == (2, 3)
    with pytest.raises(CorruptDataError, match=r"data\.csv: rows have 6 pixels.*set image_shape"):
        load_dataset(csv(*rows))


def test_floats_are_scaled_by_a_recorded_rule(csv):
    dataset = load_dataset(csv("a,0,0.5,1,1", "b,0.25,0,0,0"))
    assert dataset.images.tolist() == [[0, 128, 255, 255], [64, 0, 0, 0]]
    assert dataset.value_rule == "0..1: round(v*255)"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        (["label,a,b,c,d"], "has a header and no images"),
        (["label", "1"], "no columns of pixels"),
        ([*ROWS, "1,2,3"], "row 5: 3 cells, the first row has 5"),
        (["label,a,b,c,d", *ROWS, "1,2,3,4,5,6"], "row 6: 6 cells"),
        (['"label",a,b,c,d', "1,2,3"], "row 2: 3 cells"),
        ([*ROWS, "1,2,x,4,5"], "row 5: 'x' is no number"),
        (["label,a,b,c,d", *ROWS, "1,2,,4,5"], "row 6: '' is no number"),
        ([*ROWS, "1,2,nan,4,5"], "NaN or infinite"),
        ([*ROWS, ",2,3,4,5"], "a label is empty or NaN"),
        ([*ROWS, "nan,2,3,4,5"], "a label is empty or NaN"),
        (["1,2,3,4,5", "1,2,3,4,6"], "all labels are '1'"),
        (["5,6,x,7,8", *ROWS], "first row mixes numbers and text"),
        (["0,0,13,200,cat", "0,0,13,200,dog"], "put the label first or add a header"),
        (["1,2,0x10,4,5", *ROWS], "first row mixes"),
        ([*ROWS, "1,2,1_0,4,5"], "row 5: '1_0' is no number"),
    ],
)
def test_damage_is_refused_with_the_file(csv, lines, message):
    with pytest.raises(CorruptDataError, match=message) as caught:
        load_dataset(csv(*lines))
    assert "data.csv" in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b"1,\xff\xfe,3")
    with pytest.raises(CorruptDataError, match=r"data\.csv is no text in UTF-8"):
        load_dataset(path)


def test_a_large_table_is_read_whole(tmp_path):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (300, 785))
    table[:, 0] %= 10
    path = tmp_path / "big.csv"
    np.savetxt(path, table, fmt="%d", delimiter=",")
    dataset = load_dataset(path)
    np.testing.assert_array_equal(dataset.images, table[:, 1:])
    np.testing.assert_array_equal(dataset.labels, table[:, 0])
