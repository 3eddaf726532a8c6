"""Ingest: sources to graph, exactly once in effect, with the books balanced."""

from kg.ingest.dump import dump, dump_hash
from kg.ingest.load import IngestResult, ingest
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stats import data_sets, require_data_set, stats

__all__ = [
    "DataSetSources", "IngestResult", "Source", "data_sets", "dump", "dump_hash", "ingest",
    "require_data_set", "stats",
]  # fmt: skip
