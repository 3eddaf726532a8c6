#!/usr/bin/env python3
"""Write the demo data set: real books with true facts, invented readers with planted tastes.

The facts are data and live in ``personarec/datasets/demo/catalogue.tsv``; this script turns them
into the formats that real sources use (N-Triples, a link table, Amazon 2018 reviews) and simulates
the readers. Every file depends on the tables and on one seed, so that anyone can write them again
and get the same bytes; ``--check`` holds the committed files to that.

Only ``random.Random.random`` is used, and only sorted or ordered containers are iterated: those
are the parts whose output Python keeps stable from version to version.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
import json
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

DEMO = Path(__file__).resolve().parent.parent / "personarec" / "datasets" / "demo"
SEED = 20180930

RESOURCE = "http://dbpedia.org/resource/"
ONTOLOGY = "http://dbpedia.org/ontology/"
SUBJECT = "http://purl.org/dc/terms/subject"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"

READERS = 300
SHORTEST, LONGEST = 8, 40
EXACT_DUPLICATES = 6
CONFLICTING_DUPLICATES = 6
DAY = 86_400
FIRST_DAY = dt.date(2011, 1, 1).toordinal()
LAST_DAY = dt.date(2018, 9, 30).toordinal()
EPOCH = dt.date(1970, 1, 1).toordinal()

# What a reader picks next. A weight multiplies the popularity of a candidate, so 1 means "no pull".
NEXT_VOLUME = 40.0
SAME_SERIES = 2.5
SAME_AUTHOR = 5.0
SHARED_SUBJECT = 0.9
SHARED_STYLE = 0.5
SHARED_AWARD = 0.4
OUT_OF_ORDER = 0.15
POPULARITY_BASE = 1.4
KEEP_TO_FAVOURITES = 0.6  # share of picks within the favourite subjects and styles
FOLLOW_FACTS = 0.06  # share of picks that follow facts of the last book into any area
STAY = 0.6  # chance to stay in the area of the last book rather than draw it afresh
SAME_DAY = 0.12  # share of neighbours in a sequence with the same date


@dataclass(frozen=True)
class Book:
    """One row of the catalogue; ``page`` is empty for a book left without any fact.

    ``available`` is the year of the first English edition where that falls into the years of the
    reviews, else 0: nobody may review a book before it exists.
    """

    item_id: str
    taste: str
    title: str
    popularity: int
    available: int
    page: str
    authors: tuple[str, ...]
    series: str
    volume: int | None
    follows: str
    genres: tuple[str, ...]
    literary_genres: tuple[str, ...]
    subjects: tuple[str, ...]
    awards: tuple[str, ...]
    shelves: tuple[str, ...]

    @cached_property
    def lasting_subjects(self) -> frozenset[str]:
        """The subjects without years: those tie books by accident, no reason to read the next."""
        return frozenset(name for name in self.subjects if not name[:4].isdigit())

    @cached_property
    def traits(self) -> frozenset[str]:
        """What a reader may take a liking to."""
        return self.lasting_subjects | frozenset(self.literary_genres)


@dataclass(frozen=True)
class Review:
    """One rating; ``day`` is a proleptic ordinal, since the real data has no finer clock."""

    reader: str
    book: Book
    rating: int
    day: int
    follows_series: bool


@dataclass(frozen=True)
class Reader:
    """An invented reader; the tastes are the ground truth that no model may see."""

    reader_id: str
    main: str
    side: str
    noise: float


class Dice:
    """Weighted draws built on ``random()`` alone, whose sequence Python guarantees per seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def between(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def uniform(self, low: float, high: float) -> float:
        return low + self._random.random() * (high - low)

    def pick(self, options: Sequence[T], weights: Iterable[float] | None = None) -> T:
        """Return one option, by weight where weights are given."""
        if weights is None:
            return options[int(self._random.random() * len(options))]
        totals: list[float] = []
        running = 0.0
        for weight in weights:
            running += weight
            totals.append(running)
        mark = self._random.random() * running
        for option, total in zip(options, totals, strict=True):
            if mark < total:
                return option
        return options[-1]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a tab-separated table without quoting, as a person edits it."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split("|") if part)


def read_catalogue(path: Path) -> list[Book]:
    """Read the books and refuse the slips that would otherwise become wrong facts."""
    books = []
    for row in read_table(path):
        books.append(
            Book(
                item_id=row["item_id"],
                taste=row["taste"],
                title=row["title"],
                popularity=int(row["popularity"]),
                available=int(row["available"] or 0),
                page=row["page"],
                authors=_parts(row["authors"]),
                series=row["series"],
                volume=int(row["volume"]) if row["volume"] else None,
                follows=row["follows"],
                genres=_parts(row["genres"]),
                literary_genres=_parts(row["literary_genres"]),
                subjects=_parts(row["subjects"]),
                awards=_parts(row["awards"]),
                shelves=_parts(row["shelves"]),
            )
        )
    for what, values in (
        ("item_id", [book.item_id for book in books]),
        ("page", [book.page for book in books if book.page]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise ValueError(f"{path.name}: {what} used twice: {', '.join(sorted(twice))}")
    pages = {book.page for book in books if book.page}
    for book in books:
        if not book.page and (book.authors or book.series or book.subjects or book.awards):
            raise ValueError(f"{path.name}: {book.title}: facts but no page")
        if book.follows and book.follows not in pages:
            raise ValueError(f"{path.name}: {book.title}: follows unknown page {book.follows}")
    return sorted(books, key=lambda book: book.item_id)


def successions(books: Sequence[Book]) -> list[tuple[Book, Book]]:
    """Return (earlier, later) for direct neighbours: next volumes and named sequels."""
    by_page = {book.page: book for book in books if book.page}
    by_volume = {
        (book.series, book.volume): book
        for book in books
        if book.series and book.volume is not None
    }
    pairs = []
    for book in books:
        if book.follows:
            pairs.append((by_page[book.follows], book))
        elif book.series and book.volume is not None:
            earlier = by_volume.get((book.series, book.volume - 1))
            if earlier is not None:
                pairs.append((earlier, book))
    return pairs


def label_of(page: str) -> str:
    """Return the label DBpedia gives a page: its name, read aloud."""
    return page.removeprefix("Category:").replace("_", " ")


def iri_of(page: str) -> str:
    """Return the resource of a page; a bare question mark would begin a query."""
    return f"{RESOURCE}{page.replace('?', '%3F')}"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@en'


def facts(books: Sequence[Book]) -> str:
    """Return the knowledge graph as sorted N-Triples."""
    lines: set[str] = set()
    pages: set[str] = set()

    def fact(page: str, predicate: str, target: str) -> None:
        pages.update((page, target))
        lines.add(f"<{iri_of(page)}> <{predicate}> <{iri_of(target)}> .")

    for book in books:
        if not book.page:
            continue
        for author in book.authors:
            fact(book.page, f"{ONTOLOGY}author", author)
        if book.series:
            fact(book.page, f"{ONTOLOGY}series", book.series)
        for genre in book.genres:
            fact(book.page, f"{ONTOLOGY}genre", genre)
        for genre in book.literary_genres:
            fact(book.page, f"{ONTOLOGY}literaryGenre", genre)
        for subject in book.subjects:
            fact(book.page, SUBJECT, f"Category:{subject}")
        for award in book.awards:
            fact(book.page, f"{ONTOLOGY}award", award)
    for earlier, later in successions(books):
        fact(later.page, f"{ONTOLOGY}previousWork", earlier.page)
        fact(earlier.page, f"{ONTOLOGY}subsequentWork", later.page)
    for page in pages:
        lines.add(f"<{iri_of(page)}> <{LABEL}> {_literal(label_of(page))} .")
    return "".join(f"{line}\n" for line in sorted(lines))


def items(books: Sequence[Book]) -> str:
    """Return the table of items with the link of each, empty where a book has none."""
    out = io.StringIO()
    out.write("item_id\ttitle\tgenres\tdbpedia_uri\n")
    for book in books:
        link = iri_of(book.page) if book.page else ""
        # The shop's words would say again what a linked book's facts say in the encyclopaedia's.
        genres = "" if link else "|".join(book.shelves)
        out.write(f"{book.item_id}\t{book.title}\t{genres}\t{link}\n")
    return out.getvalue()


class Simulation:
    """Readers who choose book after book; see the data set's README for the process in words."""

    def __init__(self, books: Sequence[Book], dice: Dice) -> None:
        self.books = list(books)
        self.dice = dice
        self.tastes = sorted({book.taste for book in books})
        self.shelf: dict[str, list[Book]] = defaultdict(list)
        for book in self.books:
            self.shelf[book.taste].append(book)
        self.base = {book.item_id: POPULARITY_BASE ** (book.popularity - 1) for book in self.books}
        pairs = successions(self.books)
        self.next_of = {earlier.item_id: later.item_id for earlier, later in pairs}
        self.previous_of = {later.item_id: earlier.item_id for earlier, later in pairs}
        self._affinity: dict[tuple[str, str], float] = {}

    def affinity(self, last: Book, book: Book) -> float:
        """Return how strongly the facts of the last book pull towards this one; 1 is no pull."""
        key = (last.item_id, book.item_id)
        if key not in self._affinity:
            weight = 1.0
            if self.next_of.get(last.item_id) == book.item_id:
                weight *= NEXT_VOLUME
            elif last.series and last.series == book.series:
                weight *= SAME_SERIES
            if set(last.authors) & set(book.authors):
                weight *= SAME_AUTHOR
            weight += SHARED_SUBJECT * len(last.lasting_subjects & book.lasting_subjects)
            weight += SHARED_STYLE * len(set(last.literary_genres) & set(book.literary_genres))
            weight += SHARED_AWARD * len(set(last.awards) & set(book.awards))
            self._affinity[key] = weight
        return self._affinity[key]

    def readers(self) -> list[Reader]:
        """Return the readers; main tastes are dealt in turn, so that each has enough of them."""
        readers = []
        for number in range(1, READERS + 1):
            main = self.tastes[(number - 1) % len(self.tastes)]
            others = [taste for taste in self.tastes if taste != main]
            side = self.dice.pick(others) if self.dice.chance(0.5) else ""
            noise = self.dice.uniform(0.15, 0.25)
            readers.append(Reader(f"DEMOR{number:05d}", main, side, noise))
        return readers

    def _favourites(self, taste: str) -> set[str]:
        """Return two subjects or styles that this reader likes within the main taste."""
        counts: Counter[str] = Counter()
        for book in self.shelf[taste]:
            counts.update(book.traits)
        options = sorted(name for name, count in counts.items() if 3 <= count <= 20)
        return {self.dice.pick(options) for _ in range(2)} if options else set()

    def _choose(self, options: Sequence[Book], last: Book | None, read: set[str]) -> Book:
        weights = []
        for book in options:
            weight = self.base[book.item_id]
            previous = self.previous_of.get(book.item_id)
            if previous is not None and previous not in read:
                weight *= OUT_OF_ORDER
            if last is not None:
                weight *= self.affinity(last, book)
            weights.append(weight)
        return self.dice.pick(options, weights)

    def _threaded(self, open_books: list[Book], area: str, last: Book | None) -> list[Book]:
        """Return what a reader who follows a thread chooses from."""
        if last is not None and self.dice.chance(FOLLOW_FACTS):
            tied = [book for book in open_books if self.affinity(last, book) > 1.0]
            if tied:
                return tied
        return [book for book in open_books if book.taste == area] or open_books

    def sequence(self, reader: Reader) -> list[tuple[Book, bool, int]]:
        """Return what a reader reads, in order: the book, whether it was mere noise, the day."""
        # The cube skews lengths to the short side, as in real data.
        share = self.dice.uniform(0.0, 1.0)
        length = SHORTEST + int((LONGEST - SHORTEST + 1) * share * share * share)
        gaps = [
            0 if self.dice.chance(SAME_DAY) else self.dice.between(1, 55) for _ in range(length)
        ]
        day = self.dice.between(FIRST_DAY, LAST_DAY - sum(gaps))
        favourites = self._favourites(reader.main)
        read: set[str] = set()
        chosen: list[tuple[Book, bool, int]] = []
        last: Book | None = None
        area = reader.main
        for step, gap in enumerate(gaps):
            day += gap
            year = dt.date.fromordinal(day).year
            open_books = [b for b in self.books if b.item_id not in read and b.available < year]
            noisy = self.dice.chance(reader.noise)
            if noisy:
                book = self.dice.pick(open_books, [self.base[b.item_id] for b in open_books])
            else:
                # The side taste grows along the sequence: interest drifts, it does not jump.
                drift = 0.1 + 0.3 * step / length if reader.side else 0.0
                if not self.dice.chance(STAY):
                    area = reader.side if self.dice.chance(drift) else reader.main
                options = self._threaded(open_books, area, last)
                liked = [b for b in options if favourites & b.traits or self._is_next(last, b)]
                if liked and self.dice.chance(KEEP_TO_FAVOURITES):
                    options = liked
                book = self._choose(options, last, read)
            read.add(book.item_id)
            chosen.append((book, noisy, day))
            # A noisy pick is a detour: the reader goes on from where the thread was left.
            if not noisy or last is None:
                last = book
        return chosen

    def _is_next(self, last: Book | None, book: Book) -> bool:
        return last is not None and self.next_of.get(last.item_id) == book.item_id

    def _rating(self, reader: Reader, book: Book, noisy: bool) -> int:
        mean = 4.6 if book.taste == reader.main else 4.2 if book.taste == reader.side else 3.6
        if noisy:
            mean -= 0.3
        # Three draws make a bell without math.gauss, whose stream Python does not promise.
        spread = sum(self.dice.uniform(-1.0, 1.0) for _ in range(3)) * 1.1
        return max(1, min(5, math.floor(mean + spread + 0.5)))

    def reviews(self, reader: Reader) -> list[Review]:
        """Return one reader's reviews in the order of reading."""
        read: set[str] = set()
        out = []
        for book, noisy, day in self.sequence(reader):
            follows = self.previous_of.get(book.item_id) in read
            rating = self._rating(reader, book, noisy)
            out.append(Review(reader.reader_id, book, rating, day, follows))
            read.add(book.item_id)
        return out


class Wording:
    """Short summaries and texts from the phrase table; they carry tone, never a fact."""

    def __init__(self, rows: Iterable[Mapping[str, str]], dice: Dice) -> None:
        self._phrases: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            self._phrases[row["tone"], row["part"]].append(row["phrase"])
        self._dice = dice

    def record(self, review: Review) -> dict[str, object]:
        """Return a review as the Amazon 2018 files spell it."""
        dice = self._dice
        tone = "high" if review.rating >= 4 else "middle" if review.rating == 3 else "low"
        text_tone = "next" if review.follows_series and tone == "high" else tone
        shelf = dice.pick(review.book.shelves) if review.book.shelves else "books like this"
        date = dt.date.fromordinal(review.day)
        record: dict[str, object] = {
            "overall": float(review.rating),
            "verified": dice.chance(0.7),
            "reviewTime": f"{date:%m} {date.day}, {date.year}",
            "reviewerID": review.reader,
            "asin": review.book.item_id,
            "reviewerName": f"Reader {int(review.reader[-5:])}",
            "reviewText": dice.pick(self._phrases[text_tone, "text"]).format(shelf=shelf),
            "summary": dice.pick(self._phrases[tone, "summary"]),
            "unixReviewTime": (review.day - EPOCH) * DAY,
        }
        if dice.chance(0.08):
            record["vote"] = str(dice.between(2, 40))
        return record


def reviews_and_tastes(books: Sequence[Book], phrases: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the text of ``reviews.jsonl`` and of ``tastes.tsv``."""
    dice = Dice(SEED)
    simulation = Simulation(books, dice)
    readers = simulation.readers()
    reviews = [review for reader in readers for review in simulation.reviews(reader)]
    # Real files come item by item: within a day, the order of the lines must not give away
    # the order of reading.
    reviews.sort(key=lambda r: (r.book.item_id, r.day, r.reader))
    wording = Wording(phrases, dice)
    lines = [json.dumps(wording.record(review), ensure_ascii=False) for review in reviews]

    # Slips of real files, planted at known numbers: a line twice, and a second, other opinion.
    places = range(len(reviews))
    exact = _distinct(dice, places, EXACT_DUPLICATES, set())
    taken = {(reviews[place].reader, reviews[place].book.item_id) for place in exact}
    conflicting: list[tuple[int, str]] = []
    while len(conflicting) < CONFLICTING_DUPLICATES:
        place = dice.pick(places)
        review = reviews[place]
        key = (review.reader, review.book.item_id)
        if key in taken or review.day + 30 > LAST_DAY:
            continue
        taken.add(key)
        rating = review.rating - 1 if review.rating > 1 else review.rating + 1
        later = Review(review.reader, review.book, rating, review.day + 30, review.follows_series)
        conflicting.append((place, json.dumps(wording.record(later), ensure_ascii=False)))
    extra: dict[int, list[str]] = defaultdict(list)
    for place in exact:
        extra[place].append(lines[place])
    for place, line in conflicting:
        extra[place].append(line)
    ordered = [line for place in places for line in (lines[place], *extra[place])]
    tastes = "".join(f"{r.reader_id}\t{r.main}\t{r.side}\n" for r in readers)
    return ["".join(f"{line}\n" for line in ordered), "reviewer_id\tmain\tside\n" + tastes]


def _distinct(dice: Dice, options: Sequence[int], count: int, taken: set[int]) -> list[int]:
    while len(taken) < count:
        taken.add(dice.pick(options))
    return sorted(taken)


def make(source: Path = DEMO) -> dict[str, bytes]:
    """Return every generated file by name, from the tables in ``source``."""
    books = read_catalogue(source / "catalogue.tsv")
    reviews, tastes = reviews_and_tastes(books, read_table(source / "phrases.tsv"))
    texts = {
        "facts.nt": facts(books),
        "items.tsv": items(books),
        "reviews.jsonl": reviews,
        "tastes.tsv": tastes,
    }
    return {name: text.encode("utf-8") for name, text in texts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` only say whether the committed ones are current."""
    parser = argparse.ArgumentParser(description="Write the demo data set from its tables.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    options = parser.parse_args(arguments)
    made = make()
    stale = [
        name
        for name, content in made.items()
        if not (DEMO / name).is_file() or (DEMO / name).read_bytes() != content
    ]
    if options.check:
        if stale:
            print(
                f"demo data out of date: {', '.join(stale)}; run python scripts/make_demo.py",
                file=sys.stderr,
            )
            return 1
        return 0
    for name in stale:
        temporary = DEMO / f".{name}.tmp"
        temporary.write_bytes(made[name])
        temporary.replace(DEMO / name)
    print(f"written: {', '.join(stale)}" if stale else "nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
