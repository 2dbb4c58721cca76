"""Compare three models on scikit-learn's digits from Python, one of them your own.

python examples/compare_digits.py
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

import tenfold


class NearestMean(ClassifierMixin, BaseEstimator):
    """The class whose mean image is nearest: the least that a model must beat."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict_proba(self, X):
        distances = ((X[:, None, :] - self.means_) ** 2).mean(axis=2)
        weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / 1000)
        return weights / weights.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def main() -> None:
    """Run the comparison and print its leaderboard, best first."""
    sys.path.insert(0, str(Path(__file__).parent))  # so that the dotted path can be imported
    config = tenfold.ExperimentConfig(
        name="compare-digits-example",
        dataset="digits",
        models=["knn", "svm", "compare_digits:NearestMean"],
        units_at_once=0,  # fit in this process
    )
    result = tenfold.run_experiment(config)
    for row in result.leaderboard.ranked:
        accuracy = row.scores.accuracy
        print(f"{row.name:12} {accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f})")
    print("report:", result.report)


if __name__ == "__main__":
    main()
