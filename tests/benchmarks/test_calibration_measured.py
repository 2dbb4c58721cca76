"""What `benchmarks/calibration.py` prints."""

import sys


def test_calibration_lowers_the_error_of_a_forest(load, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["calibration.py", "random_forest", "--dataset", "digits"])
    load("calibration").main()
    *_, row = (line for line in capsys.readouterr().out.splitlines() if line)
    name, _, before, after, *_, calibrator = (cell.strip() for cell in row.strip("|").split("|"))
    assert name == "random_forest"
    assert float(after) < float(before) / 2
    assert calibrator.startswith("temperature 0.")
