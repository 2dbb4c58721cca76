import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from tenfold.errors import StorageError
from tenfold.evaluation import TIME_COLUMNS, write_csv, write_json
from tenfold.records import Predictions


def read(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


@pytest.fixture
def results(lab):
    return [
        lab.finished("MLP", skill=2, label="hidden_layers=(64, 32)"),
        lab.finished("KNN", skill=3, label="n_neighbors=3"),
        lab.failed("SVM", label="C=1", error="out, of\nmemory"),
    ]


def test_the_header_begins_as_the_old_one_and_cells_look_alike(lab, results, tmp_path):
    write_csv(lab.board(results), tmp_path / "results.csv")
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0].startswith("Model,Parameter,Accuracy,F1 Score,")
    assert lines[1].startswith('MLP,"hidden_layers=(64, 32)",0.')
    rows = read(tmp_path / "results.csv")
    board = lab.board(results)
    assert [row["Model"] for row in rows] == ["MLP", "KNN", "SVM"]
    assert rows[0]["Accuracy"] == f"{board.rows[0].scores.accuracy.value:.6f}"
    assert rows[0]["F1 Score"] == f"{board.rows[0].scores.f1_weighted.value:.6f}"
    assert rows[0]["Accuracy Low"] == f"{board.rows[0].scores.accuracy.low:.6f}"
    assert [row["Winner"] for row in rows] == ["", "yes", ""]
    assert rows[1]["P vs Winner"] == ""
    assert set(TIME_COLUMNS) <= set(rows[0])


def test_a_failed_trial_has_empty_scores_status_and_error(lab, results, tmp_path):
    write_csv(lab.board(results), tmp_path / "results.csv")
    row = read(tmp_path / "results.csv")[2]
    assert (row["Status"], row["Error"]) == ("failed", "out, of\nmemory")
    assert all(row[name] == "" for name in ("Accuracy", "F1 Score", "ECE High", *TIME_COLUMNS))


def test_two_runs_differ_in_the_time_columns_alone(lab, results, tmp_path):
    slower = [replace(r, fit_s=r.fit_s * 2, predict_us_per_image=7.0, run_id="b") for r in results]
    write_csv(lab.board(results), tmp_path / "one.csv")
    write_csv(lab.board(slower), tmp_path / "two.csv")
    one, two = read(tmp_path / "one.csv"), read(tmp_path / "two.csv")
    for row in (*one, *two):
        for name in TIME_COLUMNS:
            del row[name]
    assert one == two
    assert (tmp_path / "one.csv").read_bytes() != (tmp_path / "two.csv").read_bytes()


def test_what_is_not_defined_is_empty_and_null(lab, tmp_path):
    lab.test_labels = np.zeros(120, dtype=int)
    board = lab.board([lab.finished("A", skill=2)])
    write_csv(board, tmp_path / "results.csv")
    write_json(board, tmp_path / "results.json")
    assert read(tmp_path / "results.csv")[0]["ROC AUC"] == ""
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["rows"][0]["scores"]["roc_auc"] == {"value": None, "low": None, "high": None}


def test_json_holds_what_the_csv_holds_and_the_facts(lab, results, tmp_path):
    board = lab.board(results)
    write_json(board, tmp_path / "deep" / "results.json", facts={"dataset": "pets"})
    found = json.loads((tmp_path / "deep" / "results.json").read_text())
    assert found["dataset"] == "pets"
    assert found["winner"] == board.winner_key
    assert found["class_names"] == list(lab.class_names)
    first, _, failed = found["rows"]
    assert first["scores"]["accuracy"]["value"] == pytest.approx(
        board.rows[0].scores.accuracy.value
    )
    assert first["params"] == {"p": "hidden_layers=(64, 32)"}
    assert np.sum(first["confusion"]) == 120
    assert [entry["name"] for entry in first["per_class"]] == list(lab.class_names)
    assert (failed["scores"], failed["status"]) == (None, "failed")


def test_both_files_have_the_mean_validation_score_of_the_repeats(lab, tmp_path):
    board = lab.board([lab.finished("A", skill=1, repeat=r) for r in range(3)])
    write_csv(board, tmp_path / "results.csv")
    write_json(board, tmp_path / "results.json")
    (cells,) = csv.DictReader((tmp_path / "results.csv").open())
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    mean = board.rows[0].validation.value
    assert float(cells["Validation Accuracy"]) == pytest.approx(mean, abs=1e-6)
    assert row["validation_accuracy"]["value"] == pytest.approx(mean)
    assert row["validation_repeats"] == 3


def test_a_large_confusion_matrix_is_left_out(make_lab, tmp_path):
    lab = make_lab([f"c{i}" for i in range(101)], n_test=202)
    write_json(lab.board([lab.finished("A", skill=3)]), tmp_path / "results.json")
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert "confusion" not in row
    assert len(row["per_class"]) == 101


def test_an_empty_board_still_has_the_header(lab, tmp_path):
    write_csv(lab.board([]), tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_text().startswith("Model,Parameter,Accuracy,F1 Score")


def test_what_cannot_be_written_is_a_storage_error(lab, results, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        write_csv(lab.board(results), tmp_path / "file" / "results.csv")


def test_probabilities_of_any_width_give_the_same_table(lab, tmp_path):
    result = lab.finished("A", skill=2)
    predictions = result.predictions
    wide = Predictions(
        predictions.validation.astype(np.float64), predictions.test.astype(np.float64)
    )
    write_csv(lab.board([result]), tmp_path / "half.csv")
    write_csv(lab.board([replace(result, predictions=wide)]), tmp_path / "double.csv")
    assert (tmp_path / "half.csv").read_bytes() == (tmp_path / "double.csv").read_bytes()
