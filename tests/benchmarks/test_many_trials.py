"""The measurement of many trials measures them all, and finds every one of them again."""


def test_each_part_is_run_once_and_found_again(load, workspace, capsys):
    costs = list(load("many_trials").measured(workspace.home, [2, 5], images=3, threads=2))
    assert len(costs) == 2
    assert all(cost > 0 for cost in costs)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line[:1] == "|"]
    assert [row[1].strip() for row in rows[2:]] == ["2", "5"]
    assert len(list((workspace.home / "locks").glob("*.finished"))) == 5
