"""A SPARQL client whose answers are complete, or an error."""
