"""The id of a load: every node and relation of it carries one, so its length counts."""

from __future__ import annotations

import re

from kg.ingest.load import new_load_id

TWO_BLOCKS = 22  # digits and dashes of 4 bits, in 2 x 64 bits less the 39 of the head


def test_a_load_id_fits_two_blocks_of_a_property_record() -> None:
    found = {new_load_id() for _ in range(100)}
    assert len(found) == 100
    for load in found:
        assert re.fullmatch(r"\d{6}-\d{6}-\d{8}", load)
        assert len(load) <= TWO_BLOCKS
