"""Fit units on the workers of a Dask cluster."""

from tenfold.cluster.desk import Pending, Submit
from tenfold.cluster.door import check_cluster
from tenfold.cluster.executor import ClusterCaller, ClusterExecutor

__all__ = ["ClusterCaller", "ClusterExecutor", "Pending", "Submit", "check_cluster"]
