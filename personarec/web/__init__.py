"""The HTTP API: a trained retriever and the graph behind it, served on one address."""
