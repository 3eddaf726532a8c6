"""Texts of items, entities and users, and their vectors.

:mod:`compose` and :mod:`history` make texts from facts, :mod:`asking` has a language model write
them, :mod:`embedders` turns them into vectors, :mod:`cache` keeps both.
"""
