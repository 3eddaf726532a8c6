"""Reranking: a learned score over all evidence that reorders the first of the late fusion."""
