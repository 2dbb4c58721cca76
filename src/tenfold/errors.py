"""Every error that tenfold raises on purpose.

A message states the rule, the value got, what is allowed and the next step. The tree:

    TenfoldError
    ├── UsageError                      the caller's input is wrong: exit code 2
    │   ├── ConfigError (ValueError)    one line per problem in a configuration
    │   ├── SettingError (ValueError)   an environment variable is wrong
    │   ├── UnknownDatasetError (ValueError)
    │   ├── DatasetNotFoundError (FileNotFoundError)
    │   ├── CorruptDataError (ValueError)
    │   ├── SplitError (ValueError)      a data set is too small to be split as asked
    │   ├── ImageError (ValueError)     one picture cannot be read or is out of bounds
    │   ├── UnknownModelError (ValueError)
    │   ├── ModelInputError (ValueError)   data that a model cannot take
    │   ├── ScoreInputError (ValueError)   labels or probabilities that cannot be scored
    │   ├── BundleError (ValueError)     a bundle that is refused, whole or not
    │   ├── StudyError (ValueError)      a study of something else, or one that cannot be opened
    │   ├── PortTakenError (OSError)     another program listens where a server should
    │   ├── UnreachableServerError (ConnectionError)   no server answers where one should
    │   └── MissingExtraError (ImportError)
    ├── DownloadError (OSError)         no mirror could give the file
    ├── StorageError (OSError)          a file or database could not be written
    ├── SealedTestError (RuntimeError)  the test labels were asked for too early
    ├── ExportError (ValueError)        a model that cannot become a graph
    ├── ParityError (RuntimeError)      a graph answers otherwise than its estimator
    ├── TrackingError (RuntimeError)    MLflow could not be reached or written
    ├── ServerError (RuntimeError)      a server could not be started, or went away
    ├── ClusterError (ConnectionError)   a Dask cluster could not be reached, or was lost
    ├── TrainingMemoryError (MemoryError)   a network does not fit into memory
    ├── TrainingProcessError (RuntimeError)   one of the processes that share a training failed
    └── TrialError (RuntimeError)       one trial failed, the others go on
        ├── TrialTimeoutError (TimeoutError)
        ├── TrialMemoryError (MemoryError)
        ├── PredictionError (ValueError)   a model gives probabilities that cannot be kept
        ├── TrialStoppedError       the run was stopped by the user
        │   └── TrialPrunedError    a study gave the trial up
        └── WorkerDiedError
            └── WorkerKilledError   it was killed, most often for lack of memory
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TenfoldError(Exception):
    """Base of every error that tenfold raises on purpose."""

    exit_code = 1


class UsageError(TenfoldError):
    """The caller's input is wrong; nothing was run."""

    exit_code = 2


class ConfigError(UsageError, ValueError):
    """A configuration breaks one or more rules.

    Args:
        problems: One line per problem, each naming file, path, value and what is allowed.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SettingError(UsageError, ValueError):
    """An environment variable holds a value that is not allowed."""


class UnknownDatasetError(UsageError, ValueError):
    """No data set has this name, and no file or folder either."""


class DatasetNotFoundError(UsageError, FileNotFoundError):
    """The files of a data set are not where they should be."""


class CorruptDataError(UsageError, ValueError):
    """A data file is damaged, truncated, empty or contradicts itself."""


class SplitError(UsageError, ValueError):
    """A data set has too few images or groups of a class to be split as asked."""


class ImageError(UsageError, ValueError):
    """A picture cannot be decoded or is larger than allowed."""


class UnknownModelError(UsageError, ValueError):
    """No registered model has this name."""


class ModelInputError(UsageError, ValueError):
    """A model cannot take this data."""


class ScoreInputError(UsageError, ValueError):
    """Labels or probabilities cannot be scored."""


class BundleError(UsageError, ValueError):
    """A model's bundle is damaged, unsafe, or not what it says."""


class StudyError(UsageError, ValueError):
    """A study belongs to something else, or its storage cannot be opened."""


class PortTakenError(UsageError, OSError):
    """A server cannot listen where it should."""


class UnreachableServerError(UsageError, ConnectionError):
    """No server answers at the address that was given."""


class MissingExtraError(UsageError, ImportError):
    """An optional part of tenfold is not installed."""


class DownloadError(TenfoldError, OSError):
    """No mirror could give a file that is needed."""


class StorageError(TenfoldError, OSError):
    """A file or a database of the workspace could not be written."""


class SealedTestError(TenfoldError, RuntimeError):
    """The test labels were asked for before every choice was made."""


class ExportError(TenfoldError, ValueError):
    """A model cannot be exported as a graph."""


class ParityError(TenfoldError, RuntimeError):
    """A graph answers otherwise than the estimator that it was made from."""


class TrackingError(TenfoldError, RuntimeError):
    """The tracking store could not be reached or written."""


class ServerError(TenfoldError, RuntimeError):
    """A server could not be started, or went away while it was needed."""


class ClusterError(TenfoldError, ConnectionError):
    """A Dask cluster could not be reached, or went away."""


class TrainingMemoryError(TenfoldError, MemoryError):
    """The memory is too small to train a network, even a few images at a time."""


class TrainingProcessError(TenfoldError, RuntimeError):
    """One of the processes that share a training failed; the others were ended."""


class TrialError(TenfoldError, RuntimeError):
    """One trial failed; the others go on."""


class TrialTimeoutError(TrialError, TimeoutError):
    """A trial ran longer than its limit."""


class TrialMemoryError(TrialError, MemoryError):
    """A trial took more memory than its limit."""


class PredictionError(TrialError, ValueError):
    """A fitted model gives probabilities that cannot be kept."""


class TrialStoppedError(TrialError):
    """The run was stopped before this trial ended."""


class TrialPrunedError(TrialStoppedError):
    """A trial was given up by its study before it ended: others did better so far."""


class WorkerDiedError(TrialError):
    """The process that ran a trial ended without an answer."""


class WorkerKilledError(WorkerDiedError):
    """The process that ran a trial was killed from outside, most often for lack of memory."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a sentence that lists the valid names and guesses the one that was meant.

    Args:
        name: The name that was not found.
        valid: The names that exist.

    Returns:
        For example ``Did you mean 'knn'? Valid: knn, svm.``

    >>> nearest("kn", ["svm", "knn"])
    "Did you mean 'knn'? Valid: knn, svm."
    """
    names = sorted(valid)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Valid: {', '.join(names)}."
