"""The measurement of many trials measures them all, and judges each cost of one."""

import pytest

STEADY = {
    "CPU s of this process": 20.0,
    "MB of this process": 50.0,
    "MB of the database": 8.0,
    "s of the query": 0.5,
}


@pytest.fixture
def many_trials(load):
    return load("many_trials")


def test_each_part_is_run_once_and_found_again(many_trials, workspace, capsys):
    parts = list(many_trials.measured(workspace.home, [2, 5], images=3, threads=2))
    assert [part.trials for part in parts] == [2, 3]
    assert all(part.costs["CPU s of this process"] > 0 for part in parts)
    assert all(set(part.costs) == set(STEADY) for part in parts)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line[:1] == "|"]
    assert [row[1].strip() for row in rows[2:]] == ["2", "5"]
    assert len(list((workspace.home / "locks").glob("*.finished"))) == 5


@pytest.mark.parametrize("name", STEADY)
def test_a_cost_that_grows_is_named(many_trials, name):
    def parts(growth):
        last = {other: 5 * cost for other, cost in STEADY.items()}
        last[name] *= growth
        return [many_trials.Part(1000, STEADY), many_trials.Part(5000, last)]

    assert many_trials.growing(parts(1.4)) == []
    (line,) = many_trials.growing(parts(1.7))
    assert line.startswith(f"GROWS: {name} for a thousand trials: ")


def test_a_step_of_memory_or_of_a_log_is_no_growth(many_trials):
    cpu, *others = STEADY
    steps = {cpu: 0.0, **dict(zip(others, (9, 4, 0.2), strict=True))}
    parts = [many_trials.Part(100, dict.fromkeys(STEADY, 0.0)), many_trials.Part(100, steps)]
    assert many_trials.growing(parts) == []
    assert len(many_trials.growing([parts[0], many_trials.Part(100, {**steps, cpu: 1.0})])) == 1


@pytest.mark.parametrize("at", ["100", "200,100", "100,100", "0,100"])
def test_numbers_that_cannot_be_compared_are_refused(many_trials, capsys, at):
    with pytest.raises(SystemExit) as caught:
        many_trials.main(["--at", at])
    assert caught.value.code == 2
    assert "two numbers or more are compared" in capsys.readouterr().err
