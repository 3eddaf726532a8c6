"""Export: a data set out of the graph as files that other tools read."""

from kg.export.run import FORMATS, ExportResult, export_data_set

__all__ = ["FORMATS", "ExportResult", "export_data_set"]
