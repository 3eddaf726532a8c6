"""Search in the titles of a catalogue, in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from unicodedata import combining, normalize


def fold(text: str) -> str:
    """A text without case and accents, blanks as one each."""
    plain = "".join(c for c in normalize("NFKD", text.casefold()) if not combining(c))
    return " ".join(plain.split())


class Titles:
    """Titles by item, folded once.

    Attributes:
        folded: folded title by item key; items without a title are not in it.
    """

    def __init__(self, titles: Mapping[str, str | None]) -> None:
        self.folded = {key: fold(title) for key, title in titles.items() if title}
        self._sorted = sorted((title, key) for key, title in self.folded.items())
        self._exact = {title.casefold(): key for key, title in titles.items() if title}

    def exact(self, title: str) -> str | None:
        """Key of the item of a title, whatever the case."""
        return self._exact.get(title.casefold())

    def known(self) -> Collection[str]:
        """All titles, without case, as ``exact`` takes them."""
        return self._exact.keys()

    def search(self, text: str, most: int) -> list[str]:
        """Keys of at most so many items: titles that begin with the text, then that contain it."""
        wanted = fold(text)
        if not wanted:
            return []
        start = bisect_left(self._sorted, (wanted, ""))
        found = []
        for title, key in self._sorted[start : start + most]:
            if not title.startswith(wanted):
                break
            found.append(key)
        for title, key in self._sorted:
            if len(found) == most:
                break
            if wanted in title and not title.startswith(wanted):
                found.append(key)
        return found
