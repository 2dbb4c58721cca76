import numpy as np
import pytest

from tenfold.graphs import MODEL_FILE, PROOF_FILE, FittedGraph


def test_a_graph_comes_back_as_it_was_written(tmp_path):
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 5)
    FittedGraph(b"model", np.array([3, 1, 4, 0, 9]), probabilities, 1.25).write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {MODEL_FILE, PROOF_FILE}
    found = FittedGraph.read(tmp_path)
    assert (found.model, found.outlier_threshold) == (b"model", 1.25)
    assert found.rows.tolist() == [3, 1, 4, 0, 9]
    np.testing.assert_array_equal(found.probabilities, probabilities)


def test_a_proof_is_never_unpickled(tmp_path):
    (tmp_path / MODEL_FILE).write_bytes(b"model")
    arrays = {"rows": np.array([{}]), "probabilities": np.zeros((1, 2)), "outlier_threshold": 1.0}
    np.savez(tmp_path / PROOF_FILE, **arrays)
    with pytest.raises(ValueError, match="allow_pickle"):
        FittedGraph.read(tmp_path)
