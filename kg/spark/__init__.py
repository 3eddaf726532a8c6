"""Staging on Apache Spark, for sources that one machine is too slow for (extra ``spark``).

Spark replaces staging alone: lines are read by the same loaders, records are sorted by the same
SQL, and the stage it leaves is the one that the local engine would leave. The folder of the stage
must be one that all workers see.
"""

from kg.spark.engine import stage_with_spark

__all__ = ["stage_with_spark"]
