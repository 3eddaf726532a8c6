"""How much one request may ask for: each bound in one place."""

from __future__ import annotations

BODY_BYTES = 256 * 1024
BODY_SECONDS = 10.0
"""A body that is not all there by then is given up."""
ANSWER_SECONDS = 10.0
RELOAD_SECONDS = 120.0
WAITING = 64
"""Requests that wait for a thread; one more is told to come back."""

TEXT = 300  # characters of a user, an item, a title, a query
IRI = 500
SESSION = 500  # items
MOST = 1_000  # recommendations of one request
BATCH = 100  # users and sessions of one batch
BATCH_MOST = 100  # recommendations for each of them
ATTRIBUTES = 5
EXPLAINED = 20
"""Recommendations of one answer that get their paths."""
FIRST_YEAR, LAST_YEAR = 1000, 2099  # as titles and subjects are read
LIKED = 20  # facts of a session's persona
NEIGHBOURS = 100
FOUND = 100  # items of a search
FACTS = 200  # of an item
