"""The SPARQL queries, one file each."""
