"""Ingest on Apache Spark, for sources that one machine is too slow for (extra ``spark``).

Lines are read by the same loaders, records are sorted by the same SQL, and the stage that Spark
leaves is the one that the local engine would leave. Into a server its tasks write the rows too, by
the same batches. The folder of the stage must be one that all workers see.
"""

from kg.spark.engine import stage_with_spark
from kg.spark.writing import SparkWriter, ingest_with_spark

__all__ = ["SparkWriter", "ingest_with_spark", "stage_with_spark"]
