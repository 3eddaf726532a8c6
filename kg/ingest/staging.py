"""Staging: records of every source become deduplicated tables on disk, one a label or relation.

Staging is a function of the input files alone. What it writes is what the graph must hold, so
writing can be repeated, interrupted and compared; and the books are made here: every row read is
merged, a duplicate, or quarantined with its file, line and reason.

Rule for duplicates of one user and item: the latest timestamp wins, then the first row.
Rule for two descriptions of one item, or two labels of one resource: the first row wins.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import orjson
import polars as pl

from kg.errors import ChangeSomethingError, PersonarecError
from kg.ingest.sources import DataSetSources
from kg.ingest.spill import Spill
from kg.ingest.stage import Books, Progress, Stage, Table, load_stage
from kg.loaders import loader
from kg.loaders.records import Interaction, IriFact, Item, ItemFact, Label, Rejected
from kg.schema import expand, fact_relation, mint_iri, name_from_iri, relation_type, target_label

MAX_KEY = 1_000  # characters; longer keys do not fit a database's index


def stage(data_set: DataSetSources, folder: Path, progress: Progress) -> Stage:
    """Stage a data set under ``folder``, or take the stage that is already there.

    Raises:
        ChangeSomethingError: a file cannot be read, or there is no interaction in any.
    """
    content_hash = data_set.content_hash()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stage.lock").open("w") as lock:
        # One at a time; a second process waits, then takes what the first one made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _stage(data_set, content_hash, folder, progress)


def _stage(data_set: DataSetSources, content_hash: str, folder: Path, progress: Progress) -> Stage:
    final = folder / f"stage-{content_hash[:16]}"
    if (staged := load_stage(final)) is not None:
        return staged
    partial = folder / "stage.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    result = _Stager(data_set, partial, progress).run(content_hash)
    document = asdict(result) | {"folder": None}
    with (partial / "stage.json").open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    for old in folder.glob("stage-*"):
        if old != final:
            shutil.rmtree(old)
    return replace(result, folder=final)


class _Stager:
    def __init__(self, data_set: DataSetSources, folder: Path, progress: Progress) -> None:
        self.data_set = data_set
        self.folder = folder
        self.progress = progress
        self.label = data_set.item_label
        self.prefix = f"{data_set.name}:"
        names = [s.path.name for s in data_set.sources]
        self.books = [
            # By its name alone where that tells the files apart.
            Books(n if names.count(n) == 1 else str(s.path), s.loader)
            for n, s in zip(names, data_set.sources, strict=True)
        ]
        self.tables: list[Table] = []
        self.quarantine = (folder / "quarantine.jsonl").open("wb")
        spill = folder / "records"
        spill.mkdir()
        self.records = Spill(spill)

    def run(self, content_hash: str) -> Stage:
        self._read_all()
        items = self._describe_items()
        interactions = self._interactions()
        facts = self._facts(items)
        items = self._all_items(items, interactions, facts)
        self._labels_and_tables(items, interactions, facts)
        self.quarantine.close()
        shutil.rmtree(self.folder / "records")
        for book in self.books:
            if book.rows_in != book.merged + book.duplicates + book.quarantined:
                raise PersonarecError(
                    f"the books of {book.source} do not balance: {book.rows_in} rows in, "
                    f"{book.merged} merged + {book.duplicates} duplicates + {book.quarantined} "
                    "quarantined; this is a defect of personarec, please report it"
                )
        return Stage(
            self.folder,
            self.data_set.name,
            self.data_set.domain,
            content_hash,
            self.tables,
            self.books,
        )

    # -- reading ---------------------------------------------------------------------------------

    def _read_all(self) -> None:
        for number, source in enumerate(self.data_set.sources):
            book = self.books[number]
            for record in loader(source.loader).read(source.path):
                book.rows_in += 1
                if isinstance(record, Rejected):
                    self._set_aside(number, record.line, record.reason, record.text)
                    continue
                reason = _unusable_key(record)
                if reason:
                    self._set_aside(number, book.rows_in, reason, str(record))
                    continue
                self.records.add(record, number, book.rows_in)
                if book.rows_in % 10_000 == 0:
                    self.progress(f"reading {source.path.name}", book.rows_in, None)
            self.progress(f"reading {source.path.name}", book.rows_in, book.rows_in)

    def _set_aside(self, file: int, line: int, reason: str, text: str) -> None:
        book = self.books[file]
        book.quarantined += 1
        row = {"source": book.source, "line": line, "reason": reason, "text": text[:200]}
        self.quarantine.write(orjson.dumps(row) + b"\n")

    def _account(self, column: str, frame: pl.DataFrame) -> None:
        for file, count in frame.group_by("file").len().iter_rows():
            book = self.books[file]
            setattr(book, column, getattr(book, column) + count)

    def _dedupe(self, frame: pl.DataFrame, key: list[str], content: list[str]) -> pl.DataFrame:
        """Keep the first row of each key; the others are duplicates."""
        if not content:
            kept = frame.unique(key, keep="first", maintain_order=True)
            self._account("merged", kept)
            self._account("duplicates", frame.join(kept, on=["file", "line"], how="anti"))
            return kept
        first = [pl.col(c).first().over(key).alias(f"{c}_kept") for c in content]
        marked = frame.with_columns(*first, (pl.int_range(pl.len()).over(key) == 0).alias("kept"))
        kept, lost = marked.filter("kept"), marked.filter(~pl.col("kept"))
        differs = pl.any_horizontal(*(pl.col(c).ne_missing(pl.col(f"{c}_kept")) for c in content))
        self._account("merged", kept)
        self._account("duplicates", lost)
        self._account("conflicts", lost.filter(differs))
        return kept.select(frame.columns)

    # -- records to tables -----------------------------------------------------------------------

    def _interactions(self) -> pl.DataFrame:
        frame = self.records.frame(Interaction)
        if frame.is_empty():
            files = ", ".join(str(s.path) for s in self.data_set.sources)
            raise ChangeSomethingError(
                f"data set {self.data_set.name}: no usable interaction in {files}; "
                "a data set needs at least one"
            )
        frame = frame.sort(["timestamp", "file", "row"], descending=[True, False, False])
        kept = self._dedupe(frame, ["user", "item"], ["rating", "timestamp"])
        return self._with_source(kept)

    def _describe_items(self) -> pl.DataFrame:
        frame = self.records.frame(Item)
        return self._with_source(self._dedupe(frame, ["item"], ["title", "iri", "genres"]))

    def _with_source(self, frame: pl.DataFrame) -> pl.DataFrame:
        names = [s.loader for s in self.data_set.sources]
        return frame.with_columns(
            pl.col("file")
            .replace_strict(dict(enumerate(names)), return_dtype=pl.String)
            .alias("source_name")
        )

    def _facts(self, items: pl.DataFrame) -> pl.DataFrame:
        """Facts as (item, predicate, relation, object), one row an item."""
        stated = _expanded(self.records.frame(IriFact))
        by_iri = self._dedupe(stated, ["subject", "predicate", "object"], [])
        linked = items.filter(pl.col("iri").is_not_null()).select("iri", "item")
        joined = by_iri.join(linked, left_on="subject", right_on="iri", how="left")
        homeless = joined.filter(pl.col("item").is_null())
        self._unmerge(homeless, "no item is linked to this IRI", "subject")
        own = _expanded(self.records.frame(ItemFact))
        own = self._dedupe(own, ["item", "predicate", "object"], [])
        columns = ["item", "predicate", "object", "file", "line"]
        facts = pl.concat(
            [joined.filter(pl.col("item").is_not_null()).select(columns), own.select(columns)]
        )
        relations = {
            p: relation.name if (relation := fact_relation(p, self.label)) else None
            for p in facts["predicate"].unique()
        }
        facts = facts.with_columns(
            pl.col("predicate").replace_strict(relations, return_dtype=pl.String).alias("type")
        )
        unknown = facts.filter(pl.col("type").is_null()).unique(
            ["file", "line"], maintain_order=True
        )
        self._unmerge(
            unknown, f"the schema has no relation for this fact of a {self.label}", "predicate"
        )
        return self._with_source(facts.filter(pl.col("type").is_not_null()))

    def _unmerge(self, frame: pl.DataFrame, reason: str, shown: str) -> None:
        for file, line, text in frame.select("file", "line", shown).iter_rows():
            self.books[file].merged -= 1
            self.books[file].unused += 1
            self._set_aside(file, line, reason, text)

    def _all_items(
        self, items: pl.DataFrame, interactions: pl.DataFrame, facts: pl.DataFrame
    ) -> pl.DataFrame:
        """Every item that any source names; a description where there is one."""
        others = pl.concat(
            [interactions.select("item", "source_name"), facts.select("item", "source_name")]
        ).unique("item", keep="first", maintain_order=True)
        known = items.select("item", "title", "iri", "genres", "source_name")
        return pl.concat([known, others.join(known, on="item", how="anti")], how="diagonal")

    def _labels_and_tables(
        self, items: pl.DataFrame, interactions: pl.DataFrame, facts: pl.DataFrame
    ) -> None:
        facts = self._add_genres(items, facts)
        facts = facts.with_columns(
            pl.col("type")
            .replace_strict(
                {
                    name: target_label(relation, self.label)
                    for name, relation in self._relations(facts)
                },
                return_dtype=pl.String,
            )
            .alias("target_label")
        )
        # A work that is itself an item of this data set is that item, not a node of its own.
        own = (
            items.filter(pl.col("iri").is_not_null())
            .group_by("iri")
            .agg(pl.col("item").min().alias("own_item"))
        )
        facts = facts.join(own, left_on="object", right_on="iri", how="left").with_columns(
            pl.when((pl.col("target_label") == self.label) & pl.col("own_item").is_not_null())
            .then(self.prefix + pl.col("own_item"))
            .otherwise(pl.col("object"))
            .alias("target")
        )
        names = self._names(items, facts)

        users = interactions.sort("source_name").unique("user", keep="first", maintain_order=True)
        self._node_table(
            "User",
            users.select(
                (self.prefix + pl.col("user")).alias("id"),
                dataset=pl.lit(self.data_set.name),
                source="source_name",
            ),
        )
        self._node_table(
            self.label,
            items.join(names, on="iri", how="left").select(
                (self.prefix + pl.col("item")).alias("id"),
                dataset=pl.lit(self.data_set.name),
                title=_clean(pl.coalesce("title", "name")),
                iri="iri",
                source="source_name",
            ),
        )
        self._entity_tables(facts, names)
        ratings = interactions.select(
            (self.prefix + pl.col("user")).alias("source"),
            (self.prefix + pl.col("item")).alias("target"),
            "rating",
            "timestamp",
            "row",
            pl.col("source_name").alias("source_"),
        )
        self._relation_table("RATED", "User", self.label, ratings)
        for (name, target), rows in sorted(
            facts.partition_by("type", "target_label", as_dict=True).items()
        ):
            relations = rows.select(
                (self.prefix + pl.col("item")).alias("source"),
                "target",
                pl.col("source_name").alias("source_"),
            ).unique(["source", "target"], keep="first", maintain_order=True)
            self._relation_table(str(name), self.label, str(target), relations)

    def _add_genres(self, items: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
        genres = (
            items.filter(pl.col("genres").list.len() > 0)
            .explode("genres")
            .select(
                "item",
                "source_name",
                object=pl.col("genres").map_elements(
                    lambda g: mint_iri("genre", g), return_dtype=pl.String
                ),
                type=pl.lit("GENRE_IS"),
            )
        )
        return pl.concat([facts.select("item", "source_name", "object", "type"), genres])

    def _relations(self, facts: pl.DataFrame) -> Iterator[tuple[str, Any]]:
        for name in facts["type"].unique().to_list():
            yield name, relation_type(name)

    def _names(self, items: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
        """Names of resources that are in the graph; labels of others are set aside."""
        labels = self._dedupe(self.records.frame(Label), ["iri"], ["text"])
        present = pl.concat(
            [items.select("iri").drop_nulls(), facts.select(pl.col("object").alias("iri"))]
        ).unique()
        self._unmerge(labels.join(present, on="iri", how="anti"), "no node has this IRI", "iri")
        return labels.join(present, on="iri", how="semi").select(
            "iri", pl.col("text").alias("name")
        )

    def _entity_tables(self, facts: pl.DataFrame, names: pl.DataFrame) -> None:
        entities = facts.filter(pl.col("target") == pl.col("object"))
        for (label,), rows in sorted(entities.partition_by("target_label", as_dict=True).items()):
            nodes = (
                rows.sort("source_name")
                .unique("target", keep="first", maintain_order=True)
                .join(names, left_on="target", right_on="iri", how="left")
                .select(
                    pl.col("target").alias("id"),
                    _clean(
                        pl.coalesce(
                            "name",
                            pl.col("target").map_elements(name_from_iri, return_dtype=pl.String),
                        )
                    ).alias("title" if label == self.label else "name"),
                    source="source_name",
                )
            )
            if label == self.label:  # works outside the data set
                nodes = nodes.with_columns(iri="id")
            self._node_table(str(label), nodes, suffix="-shared")

    def _node_table(self, label: str, frame: pl.DataFrame, suffix: str = "") -> None:
        file = f"node-{label}{suffix}.parquet"
        frame.sort("id").write_parquet(self.folder / file)
        self.tables.append(Table("node", label, file, len(frame)))

    def _relation_table(self, name: str, source: str, target: str, frame: pl.DataFrame) -> None:
        file = f"relation-{name}-{target}.parquet"
        frame.sort("source", "target").write_parquet(self.folder / file)
        self.tables.append(Table("relation", name, file, len(frame), source, target))


def _unusable_key(record: Any) -> str | None:
    """Why a record's keys cannot be keys of the graph, or None."""
    keys = {
        Interaction: record[:2],
        Item: record[:1],
        IriFact: record,
        ItemFact: record,
        Label: record[:1],
    }[type(record)]
    for key in keys:
        if not key.strip():
            return "an empty key"
        if "\0" in key:
            return "a key with a NUL character"
        if len(key) > MAX_KEY:
            return f"a key longer than {MAX_KEY} characters"
    return _unusable_value(record)


def _unusable_value(record: Any) -> str | None:
    if isinstance(record, Interaction) and not -(2**63) <= record.timestamp < 2**63:
        return f"timestamp out of range: {str(record.timestamp)[:50]}"
    if isinstance(record, Item) and any(len(mint_iri("genre", g)) > MAX_KEY for g in record.genres):
        return f"a genre whose key is longer than {MAX_KEY} characters"
    if isinstance(record, IriFact | ItemFact) and ":" not in record.object:
        return f"the object is not an IRI: {record.object[:50]!r}"
    return None


def _expanded(facts: pl.DataFrame) -> pl.DataFrame:
    """Predicates in full: dbo:director and its IRI are one."""
    full = {p: expand(p) for p in facts["predicate"].unique()}
    return facts.with_columns(pl.col("predicate").replace_strict(full, return_dtype=pl.String))


def _clean(text: pl.Expr) -> pl.Expr:
    """Text in normal form C, without outer blanks."""
    return text.map_elements(lambda t: normalize("NFC", t).strip(), return_dtype=pl.String)
