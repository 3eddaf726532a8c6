"""Ingest: sources to graph, exactly once in effect, with the books balanced."""

from kg.ingest.dump import dump, dump_hash
from kg.ingest.load import IngestResult, ingest
from kg.ingest.remove import RemoveResult, planned, remove
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stats import data_sets, loaded_names, require_data_set, stats

__all__ = [
    "DataSetSources", "IngestResult", "RemoveResult", "Source", "data_sets", "dump", "dump_hash",
    "ingest", "loaded_names", "planned", "remove", "require_data_set", "stats",
]  # fmt: skip
