"""Titles of items and labels of resources in a form in which they can be compared.

A shop's title carries more than the work's name (``Matrix, The [DVD] (1999)``), and DBpedia's label
carries a bracket where names clash (``Sabrina (1995 film)``). Both are taken apart here. Nothing
here decides whether two works are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from typing import NamedTuple
from unicodedata import category, combining, normalize

_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_YEARS = re.compile(r"(?P<year>1[5-9]\d\d|20\d\d)(?:\s*[-–]\s*(?:\d{4})?)?")
_LAST_BRACKET = re.compile(r"\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\])\s*$")
_EDITION = re.compile(
    r"\b(?:dvds?|blu-?rays?|vhs|umd|4k|hd|digital|paperback|hardcover|hardback|kindle|audio|"
    r"audiobook|cds?|cassettes?|print|box(?:ed)? set|discs?|editions?|version|cut|widescreen|"
    r"full ?screen|remastered|restored|import|ntsc|pal|region|subtitled|dubbed|unrated|"
    r"anniversary|collection|classics|library|vol(?:ume)?s?|series|seasons?|book \w+|"
    r"set of \d+|boxed)\b|#\s*\d",
    re.IGNORECASE,
)
_LAST_EDITION = re.compile(
    r"[\s,:;/–-]+(?:\w+-disc\s+)?(?:dvd|blu-?ray|vhs|box(?:ed)? set|director['’]s cut|"
    r"(?:special|collector['’]?s|limited|deluxe|ultimate|extended|unrated|anniversary|widescreen|"
    r"full ?screen|\d+(?:st|nd|rd|th) anniversary|director['’]s cut)(?:\s+edition|\s+version)|"
    r"widescreen|large print|mass market paperback|paperback|hardcover|kindle edition)\s*$",
    re.IGNORECASE,
)
_LAST_PART = re.compile(
    r"[\s,:;–-]+(?:vol(?:ume)?\.?\s*\w+|seasons?\s+\w+|series\s+\w+|"
    r"(?:the\s+)?complete\s.*(?:season|series|collection)s?)\s*$",
    re.IGNORECASE,
)
_SUBTITLE = re.compile(r":\s+|\s+[-–—]\s+|;\s+")
_ALSO_KNOWN = re.compile(r"^(?:a\.?\s?k\.?\s?a\.?|also known as|or)[\s:,]+", re.IGNORECASE)
_LAST_ARTICLE = re.compile(
    r"^(?P<rest>.+),\s+(?P<article>The|A|An|Le|La|Les|L['’]|Un|Une|Il|Lo|I|Gli|Una|Uno|El|Los|Las|"
    r"Der|Die|Das|Ein|Eine|Den|Det|De|Het|Een|O|Os|Um|Uma)$"
)
_FIRST_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_SMALL = frozenset(
    ("a", "an", "the", "and", "but", "or", "nor", "as", "at", "by", "for", "from", "in", "into",
     "of", "off", "on", "onto", "out", "over", "per", "than", "till", "to", "up", "upon", "via",
     "with")
)  # fmt: skip
"""Words that English titles on Wikipedia write small, unless they come first or last."""
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}
"""Numerals of sequels. ``i`` and ``x`` are left out: they are words more often than numbers."""


MOST_SPELLINGS = 24
"""Of one name; changes multiply, and a title full of signs would else be asked for hundredfold."""


class Title(NamedTuple):
    """A shop's title taken apart."""

    text: str
    """The work's name; empty where the title says nothing."""
    year: int | None
    """From a bracket at the end; of a range, its first year."""
    alternatives: tuple[str, ...]
    """Other names of the same work, from brackets: ``(a.k.a. 12 Monkeys)``."""
    short: str | None
    """The name without subtitle, volume or season: a weaker key."""


class LabelParts(NamedTuple):
    """A resource's label taken apart."""

    name: str
    bracket: str
    """What tells it from its namesakes: ``1995 film``; empty where there is no bracket."""
    year: int | None


def parse_title(raw: str | None) -> Title:
    """Take a shop's title apart. An empty title gives an empty text."""
    rest = _clean(raw or "")
    year: int | None = None
    alternatives: list[str] = []
    while match := _LAST_BRACKET.search(rest):
        inside = _clean(match["round"] or match["square"] or "")
        before = rest[: match.start()].strip()
        if not before:  # all of it is a bracket: then that is the name
            break
        rest = before
        if years := _YEARS.fullmatch(inside):
            year = year or int(years["year"])
        elif inside and not _EDITION.search(inside):
            alternatives.append(_article_first(_ALSO_KNOWN.sub("", inside)))
    while len(shorter := _LAST_EDITION.sub("", rest).strip()) < len(rest) and shorter:
        rest = shorter
    text = _article_first(rest)
    others = tuple(a for a in dict.fromkeys(reversed(alternatives)) if a and a != text)
    return Title(text, year, others, _short(text))


def split_label(label: str) -> LabelParts:
    """Take a label apart at the bracket at its end: name, bracket, the year in it."""
    text = _clean(label)
    match = _LAST_BRACKET.search(text)
    if match is None or not match["round"] or not (name := text[: match.start()].strip()):
        return LabelParts(text, "", None)
    years = re.search(rf"\b{_YEARS.pattern}(?=\s|$)", match["round"])
    return LabelParts(name, match["round"].strip(), int(years["year"]) if years else None)


def spellings(text: str) -> list[str]:
    """Ways in which a label might spell a name; the first is the name itself.

    Labels are asked for letter by letter, so each change of sign counts.
    """
    found = [text]
    typed = re.sub("[’‘`]", "'", text).replace("…", "...")  # as English titles on Wikipedia are
    words = typed.split()
    if text.isupper() or text.islower():
        words = [w[:1].upper() + w[1:].lower() for w in words]
    small = [w.lower() if w.lower() in _SMALL else w for w in words[1:-1]]
    _extend(found, [typed, " ".join([*words[:1], *small, *words[1:][-1:]]), " ".join(words)])
    _extend(found, [_FIRST_ARTICLE.sub("", typed)])
    for pattern, instead in (
        (r":\s+", " "), (r"\s+[-–—]\s+", ": "), (r"\s*(?:\.\.\.|[?!])$", ""),
        (r"\s+&\s+", " and ") if "&" in text else (r"\s+and\s+", " & "),
        (r"\bVol\.?\s+(?=\w)", "Volume "),
    ):  # fmt: skip
        _extend(found, [re.sub(pattern, instead, f) for f in found])
    _extend(found, [_numbered(f) for f in found])
    return found[:MOST_SPELLINGS]


def match_key(text: str) -> str:
    """A name reduced to what two spellings of it share: words and numbers.

    Accents, case, punctuation and ``&`` for ``and`` make no difference, roman numerals of sequels
    are numbers. A name without letters or numbers (``…``, an emoji) is its own key.
    """
    folded = normalize("NFKD", text.replace("&", " and ")).casefold()
    plain = "".join(c for c in folded if not combining(c))
    for apostrophe in "'’‘`":
        plain = plain.replace(apostrophe, "")
    words = "".join(c if c.isalnum() else " " for c in plain).split()
    return " ".join(_ROMAN.get(w, w) for w in words) or text.strip().casefold()


def without_article(key: str) -> str:
    """A match key without ``the``, ``a`` or ``an`` at its front."""
    return _FIRST_ARTICLE.sub("", key)


def numbers(key: str) -> tuple[str, ...]:
    """The numbers in a match key, in order: what tells a sequel from its predecessor."""
    return tuple(w for w in key.split() if w.isdigit())


def _short(text: str) -> str | None:
    part = _LAST_PART.sub("", text).strip(" ,:;-–")
    head = _SUBTITLE.split(part or text, maxsplit=1)[0].strip()
    return head if head and head != text and match_key(head) else None


def _numbered(text: str) -> str:
    """The last number of a name the other way: Death Wish 2, Death Wish II."""
    found = re.fullmatch(r"(.+\s)(\d|[IVX]+)((?::\s.+)?)", text)
    if found is None:
        return text
    arabic = {roman.upper(): digit for roman, digit in _ROMAN.items()}
    other = arabic | {digit: roman for roman, digit in arabic.items()}
    return f"{found[1]}{other.get(found[2], found[2])}{found[3]}"


def _article_first(text: str) -> str:
    match = _LAST_ARTICLE.match(text.strip())
    if match is None:
        return text.strip()
    blank = "" if match["article"][-1] in "'’" else " "
    return f"{match['article']}{blank}{match['rest']}"


def _clean(text: str) -> str:
    """Normal form C without entities, invisible and control characters; single blanks."""
    visible = _INVISIBLE.sub("", unescape(text))
    return " ".join(
        normalize("NFC", "".join(" " if category(c) == "Cc" else c for c in visible)).split()
    )


def _extend(found: list[str], more: Iterable[str]) -> None:
    for text in more:
        if text and text not in found:
            found.append(text)
