"""DBpedia: what to ask of it, of an endpoint or of dumps, and what to do with the answers."""
