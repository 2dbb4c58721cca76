"""A study in a real PostgreSQL server: two processes share it, and its restart loses nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tenfold.config import canonical_params, parse_config
from tenfold.search import Study, StudyPlan, StudyStorage, owner_name, resolve_space
from tenfold.servers import Server
from tenfold.workspace import Workspace

pytestmark = pytest.mark.postgres
SCORES = {"accuracy": 0.5, "log_loss": 1.0, "latency": 3.0}


def plan(n_trials):
    config = parse_config({"models": ["knn"], "tune": {"n_trials": n_trials}})
    return StudyPlan(
        name="shared",
        model="knn",
        title="KNN",
        base=canonical_params("knn", {}),
        space=resolve_space(config.models[0]),
        tune=config.tune,
        seed=42,
        fingerprint="data",
        split="split",
    )


def run(study, stop_after=None):
    """Finish trials, so many or all that are left, and return how many."""
    done = 0
    while done != stop_after and (asked := study.ask()) is not None:
        study.finish(asked, SCORES)
        done += 1
    return done


def test_two_machines_share_a_study_over_a_restart_of_its_server(load, tmp_path):
    postgres = load("postgres")
    with postgres.kept_postgres() as (server, url):
        with Server(server):
            postgres.wait_until_ready(url)
            studies = []
            for name in ("one", "two"):
                workspace = Workspace(tmp_path / name).open()
                storage = StudyStorage(url, workspace)
                assert storage.is_shared
                owner = owner_name(workspace, "experiment")
                studies.append(Study(plan(10), storage, owner=owner))
            assert together(studies, stop_after=2) == [2, 2]
            left = studies[0].ask()
        with Server(server):
            postgres.wait_until_ready(url)
            studies[0].finish(left, SCORES)
            assert together(studies, stop_after=1) == [1, 1]
            assert sum(together(studies)) == 3
            history = studies[1].history()
    assert len(history.of("finished")) == len(history.trials) == 10
    assert len({tuple(trial.drawn.items()) for trial in history.trials}) == 10


def together(studies, **options):
    """Run all at once, and return how many trials each finished."""
    with ThreadPoolExecutor(len(studies)) as pool:
        running = [pool.submit(run, study, **options) for study in studies]
        return [ended.result() for ended in running]
