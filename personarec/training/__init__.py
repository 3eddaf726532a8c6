"""Training: graph to personas to retriever to a table with its controls."""
