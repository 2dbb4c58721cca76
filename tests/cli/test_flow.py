"""`tenfold flow serve`: what it refuses before it looks for a server."""

import pytest

from tenfold.cli.flow import serve
from tenfold.errors import UsageError

GRID = "{model: knn, grid: {n_neighbors: [3, 5]}}"
SPACE = "{model: sgd, space: {alpha: [0.001, 0.01]}}"


@pytest.mark.parametrize(
    ("models", "flow", "message"),
    [
        (
            [GRID],
            "tune",
            r"--flow is 'tune'; allowed .*: compare, train \(not tune: models.0.grid: ",
        ),
        (
            [SPACE],
            "compare",
            r"'compare'; allowed .*: tune \(not compare: models.0.space: .*train: ",
        ),
        ([SPACE], "train", r"'train'; allowed .*: tune \("),
        (
            ["knn", "sgd"],
            "train",
            r"allowed .*: compare, tune \(not train: models: got 2; it trains",
        ),
        (["knn"], "predict", r"'predict'; allowed .*: compare, train, tune$"),
        (
            [GRID, SPACE],
            None,
            r"no flow can run this .*compare: models.1.space: .*tune: models.0.grid",
        ),
    ],
)
def test_a_flow_that_cannot_run_the_configuration_is_refused_with_the_reason(
    tmp_path, models, flow, message
):
    file = tmp_path / "experiment.yaml"
    file.write_text(f"models: [{', '.join(models)}]\n")
    with pytest.raises(UsageError, match=message) as caught:
        serve(file, cron="0 3 * * *", flow=flow)
    assert "\n" not in str(caught.value)


def test_a_flow_without_a_schedule_is_refused():
    with pytest.raises(UsageError, match="--flow says what --cron starts; give --cron too"):
        serve(models="knn", flow="compare")


def test_a_password_is_not_given_to_prefect(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(
        f"models: [{SPACE}]\ntune: {{storage: 'postgresql://ann:secret@host/studies'}}\n"
    )
    with pytest.raises(UsageError, match="storage has a password.* PGPASSWORD or .*pgpass") as told:
        serve(file)
    assert "secret" not in str(told.value)
