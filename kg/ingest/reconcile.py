"""Records on disk become deduplicated tables, one a label or relation, by SQL that spills to disk.

Rules:
    Two interactions of one user and item: the latest timestamp wins, then the first row.
    Two descriptions of one item, links of one item, names or abstracts of one resource: the first
    row wins. A link wins over an IRI that the item's description gives.
    A k-core is cut after duplicates are gone; whatever is about other items or users is filtered.

Every record is accounted for in its source's books: merged, duplicate, filtered or quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from kg.errors import ChangeSomethingError
from kg.ingest.local_sql import LocalSql
from kg.ingest.quarantine import Quarantine
from kg.ingest.sources import DataSetSources
from kg.ingest.stage import Books, Progress, Table
from kg.schema import (
    ENTITY_RELATIONS,
    USER_RELATIONS,
    expand,
    fact_relation,
    mint_iri,
    name_from_iri,
    target_label,
)

Relation = Callable[[str], tuple[str, str] | None]
"""A predicate's IRI -> relation type and target label, or None."""

ROW_GROUP = 20_480  # rows; what a reader of a table holds at a time


class Reconciler:
    """Makes the tables of one data set; see ``run``."""

    def __init__(
        self,
        data_set: DataSetSources,
        folder: Path,
        records: dict[str, str],
        books: list[Books],
        quarantine: Quarantine,
        progress: Progress,
        sql: Any = None,
    ) -> None:
        """Open the SQL engine.

        Args:
            data_set: what is staged.
            folder: where the tables go; working files are made and removed there too.
            records: record kind -> pattern of its Parquet files.
            books: one a source; counted up here.
            quarantine: takes the records that have no place.
            progress: called with each step.
            sql: another SQL engine, with as much of DuckDB's interface and dialect as is used here.
        """
        self.data_set = data_set
        self.label = data_set.item_label
        self.folder = folder
        self.books = books
        self.quarantine = quarantine
        self.progress = progress
        self.tables: list[Table] = []
        self.db = sql or LocalSql(folder)
        for name, work in (
            ("clean", lambda text: normalize("NFC", text).strip()),
            ("mint_genre", lambda genre: mint_iri("genre", genre)),
            ("name_from_iri", name_from_iri),
        ):
            self.db.create_function(name, work, ["VARCHAR"], "VARCHAR")
        for kind, files in records.items():
            self.db.execute(f"CREATE VIEW {kind} AS FROM read_parquet('{_quoted(files)}')")
        self._table("loader", "file INTEGER, source_name VARCHAR")
        for number, source in enumerate(data_set.sources):
            self.db.execute("INSERT INTO loader VALUES (?, ?)", [number, source.loader])
        self._table("key", "prefix VARCHAR")
        self.db.execute("INSERT INTO key VALUES (?)", [f"{data_set.name}:"])

    def close(self) -> None:
        """Stop the SQL engine, which removes its working files."""
        self.db.close()

    def run(self) -> list[Table]:
        """Make all tables; returns them, nodes before relations.

        Raises ChangeSomethingError when there is no interaction, or none in the k-core.
        """
        for what, step in (
            ("sorting interactions", self._interactions),
            ("sorting items", self._items),
            ("sorting facts", self._facts),
            ("sorting users", self._users),
            ("sorting names", self._texts),
            ("writing tables", self._write),
        ):
            self.progress(what, 0, None)
            step()
        return self.tables

    # -- steps -----------------------------------------------------------------------------------

    def _interactions(self) -> None:
        self._dedupe(
            "rated", "Interaction", ('"user"', "item"), ("rating", "timestamp"),
            order='timestamp DESC, file, "row", number',
        )  # fmt: skip
        if not self._count("rated"):
            files = ", ".join(str(s.path) for s in self.data_set.sources)
            raise ChangeSomethingError(
                f"data set {self.data_set.name}: no usable interaction in {files}; "
                "a data set needs at least one"
            )
        if self.data_set.k_core:
            self._cut_core(self.data_set.k_core)

    def _cut_core(self, k: int) -> None:
        self.db.execute('CREATE TABLE core AS SELECT "user", item FROM rated')
        left = self._count("core")
        while True:  # to take an item away can leave a user with too few, and the other way round
            for column in ('"user"', "item"):
                self.db.execute(
                    f"DELETE FROM core WHERE {column} IN "
                    f"(SELECT {column} FROM core GROUP BY {column} HAVING count(*) < {int(k)})"
                )
            before, left = left, self._count("core")
            self.progress(f"cutting the {k}-core", left, None)
            if left == before:
                break
        if not left:
            raise ChangeSomethingError(
                f"data set {self.data_set.name}: its {k}-core is empty; choose a smaller --k-core"
            )
        self._filter(
            "rated", 'NOT EXISTS (FROM core c WHERE c."user" = r."user" AND c.item = r.item)'
        )

    def _items(self) -> None:
        self._dedupe("described", "Item", ("item",), ("title", "iri", "genres"))
        for table, kind, other in (("own", "ItemFact", "object"), ("pair", "ItemPair", "other")):
            self._dedupe(table, kind, ("item", "predicate", other), (), relation=self._of_item)
        self._dedupe("linked", "Link", ("item",), ("iri", "method", "score"))
        no_place = f"the schema has no relation for this fact of a {self.label}"
        for table in ("own", "pair"):
            self._set_aside(table, "type IS NULL", no_place, "predicate")
        if self.data_set.k_core:
            self.db.execute("CREATE TABLE present AS SELECT DISTINCT item FROM rated")
            self.db.execute(
                "CREATE TABLE outside AS SELECT iri FROM (SELECT item, iri FROM described "
                "UNION SELECT item, iri FROM linked) WHERE iri IS NOT NULL AND item NOT IN "
                "(FROM present)"
            )
            absent = "item NOT IN (FROM present)"
            for table in ("described", "own", "linked", "pair"):
                self._filter(table, absent)
            self._filter("pair", "other NOT IN (FROM present)")
        else:
            self.db.execute(
                "CREATE TABLE present AS SELECT item FROM rated UNION SELECT item FROM described "
                "UNION SELECT item FROM own UNION SELECT item FROM pair"
            )
            nobody = "is not in this data set"
            self._set_aside("linked", "item NOT IN (FROM present)", f"the item {nobody}", "item")
            self._set_aside(
                "pair", "other NOT IN (FROM present)", f"the other item {nobody}", "other"
            )
        # A source's own IRI is a link too; one that was looked for is a later word on the matter.
        self.db.execute("""
            CREATE TABLE catalogue AS
            SELECT p.item, d.title, coalesce(l.iri, d.iri) AS iri,
                CASE WHEN l.iri IS NOT NULL THEN l.method WHEN d.iri IS NOT NULL THEN 'source' END
                    AS method,
                CASE WHEN l.iri IS NOT NULL THEN l.score END AS score,
                coalesce(d.source_name, r.source_name, o.source_name, a.source_name) AS source_name
            FROM present p
            LEFT JOIN described d USING (item)
            LEFT JOIN linked l USING (item)
            LEFT JOIN (SELECT item, min(source_name) AS source_name FROM rated GROUP BY item) r
                USING (item)
            LEFT JOIN (SELECT item, min(source_name) AS source_name FROM own GROUP BY item) o
                USING (item)
            LEFT JOIN (SELECT item, min(source_name) AS source_name FROM pair GROUP BY item) a
                USING (item)
        """)

    def _facts(self) -> None:
        key = ("subject", "predicate", "object")
        self._dedupe("stated", "IriFact", key, (), relation=self._of_item)
        self.db.execute("""
            CREATE TABLE resource AS
            SELECT iri, min(item) AS first_item FROM catalogue WHERE iri IS NOT NULL GROUP BY iri
        """)
        self.db.execute("""
            CREATE TABLE fact AS
            SELECT c.item, s.type, s.target_label, s.object, s.source_name
            FROM stated s JOIN catalogue c ON s.subject = c.iri WHERE s.type IS NOT NULL
            UNION ALL SELECT item, type, target_label, object, source_name FROM own
            UNION ALL SELECT item, 'GENRE_IS', 'Genre', mint_genre(genre), source_name FROM (
                SELECT DISTINCT item, unnest(genres) AS genre, source_name FROM described)
        """)
        # Facts of what items point to, one hop on: a subject's broader subject.
        self._table(
            "entity_fact",
            "type VARCHAR, source VARCHAR, target_label VARCHAR, object VARCHAR, "
            "source_name VARCHAR",
        )
        for relation in ENTITY_RELATIONS:
            (source,), (target,) = relation.sources, relation.targets
            about = (
                f"predicate = '{relation.predicate}' AND subject IN "
                f"(SELECT object FROM fact WHERE target_label = '{source}')"
            )
            self.db.execute(
                f"INSERT INTO entity_fact SELECT '{relation.name}', subject, '{target}', "
                f"object, source_name FROM stated WHERE {about}"
            )
            self.db.execute(f"DELETE FROM stated WHERE {about}")
        homeless = "subject NOT IN (SELECT iri FROM resource)"
        if self.data_set.k_core:
            self._filter("stated", f"{homeless} AND subject IN (FROM outside)")
        self._set_aside("stated", homeless, "no item is linked to this IRI", "subject")
        no_place = f"the schema has no relation for this fact of a {self.label}"
        self._set_aside("stated", "type IS NULL", no_place, "predicate")
        # A work that is itself an item of this data set is that item, not a node of its own.
        self.db.execute(f"""
            CREATE TABLE relation AS
            SELECT type, target_label, prefix || item AS source,
                CASE WHEN target_label = '{self.label}' AND first_item IS NOT NULL
                    THEN prefix || first_item ELSE object END AS target,
                source_name
            FROM fact LEFT JOIN resource ON object = iri, key
            UNION ALL
            SELECT type, target_label, prefix || item, prefix || other, source_name
            FROM pair, key
        """)

    def _users(self) -> None:
        known = {r.predicate: (r.name, r.targets[0]) for r in USER_RELATIONS}
        self._dedupe("trait", "UserFact", ('"user"', "predicate", "object"), (), relation=known.get)
        self._set_aside(
            "trait", "type IS NULL", "the schema has no relation for this fact of a User",
            "predicate",
        )  # fmt: skip
        if self.data_set.k_core:
            self._filter("trait", '"user" NOT IN (SELECT "user" FROM rated)')
        self.db.execute("""
            CREATE TABLE person AS SELECT "user", min(source_name) AS source_name FROM (
                SELECT "user", source_name FROM rated
                UNION ALL SELECT "user", source_name FROM trait) GROUP BY "user"
        """)

    def _texts(self) -> None:
        self.db.execute(f"""
            CREATE TABLE entity AS
            SELECT label, id, min(source_name) AS source_name FROM (
                SELECT target_label AS label, object AS id, source_name
                FROM fact LEFT JOIN resource ON object = iri
                WHERE NOT (target_label = '{self.label}' AND first_item IS NOT NULL)
                UNION ALL SELECT target_label, object, source_name FROM trait
                UNION ALL SELECT target_label, object, source_name FROM entity_fact
            ) GROUP BY label, id
        """)
        self._dedupe("named", "Label", ("iri",), ("text",))
        self._dedupe("described_as", "Abstract", ("iri",), ("text",))
        self.db.execute("""
            CREATE TABLE node_iri AS
            SELECT iri FROM resource UNION ALL SELECT id FROM entity
        """)
        self._set_aside("named", "iri NOT IN (FROM node_iri)", "no node has this IRI", "iri")
        nobody = "no item is linked to this IRI"
        self._set_aside("described_as", "iri NOT IN (SELECT iri FROM resource)", nobody, "iri")

    def _write(self) -> None:
        name = self.data_set.name
        self._node_table(
            "User",
            f"""SELECT prefix || "user" AS id, '{_quoted(name)}' AS dataset, source_name AS source
            FROM person, key""",
        )
        self._node_table(
            self.label,
            f"""SELECT prefix || c.item AS id, '{_quoted(name)}' AS dataset,
                clean(coalesce(c.title, n.text)) AS title, c.iri, c.method AS "linkMethod",
                c.score AS "linkScore", clean(a.text) AS abstract, c.source_name AS source
            FROM catalogue c LEFT JOIN named n USING (iri) LEFT JOIN described_as a USING (iri), key
            """,
        )
        labels = self.db.execute("SELECT DISTINCT label FROM entity ORDER BY label").fetchall()
        for (label,) in labels:
            work = label == self.label  # one outside the data set
            extra = ", id AS iri" if work else ""
            self._node_table(
                label,
                f"""SELECT id, clean(coalesce(n.text, name_from_iri(id)))
                    AS {"title" if work else "name"}, e.source_name AS source{extra}
                FROM entity e LEFT JOIN named n ON id = n.iri WHERE label = '{label}'""",
                suffix="-shared",
            )
        self._relation_table(
            "RATED", "User", self.label,
            """SELECT prefix || "user" AS source, prefix || item AS target, rating, timestamp,
                "row", source_name AS source_ FROM rated, key""",
        )  # fmt: skip
        first = "min(source_name) AS source_"
        kinds = "SELECT DISTINCT type, target_label FROM relation ORDER BY ALL"
        for kind, target in self.db.execute(kinds).fetchall():
            where = f"type = '{kind}' AND target_label = '{target}'"
            self._relation_table(
                kind, self.label, target,
                f"SELECT source, target, {first} FROM relation WHERE {where} GROUP BY ALL",
            )  # fmt: skip
        for relation in USER_RELATIONS:
            self._relation_table(
                relation.name, "User", relation.targets[0],
                f"""SELECT prefix || "user" AS source, object AS target, {first}
                FROM trait, key WHERE type = '{relation.name}' GROUP BY ALL""",
            )  # fmt: skip
        for relation in ENTITY_RELATIONS:
            self._relation_table(
                relation.name, relation.sources[0], relation.targets[0],
                f"""SELECT source, object AS target, {first}
                FROM entity_fact WHERE type = '{relation.name}' GROUP BY ALL""",
            )  # fmt: skip

    # -- means -----------------------------------------------------------------------------------

    def _table(self, name: str, columns: str) -> None:
        self.db.execute(f"CREATE TABLE {name} ({columns})")

    def _count(self, table: str) -> int:
        (found,) = self.db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(found[0])

    def _dedupe(
        self, table: str, kind: str, key: Sequence[str], content: Sequence[str], *,
        order: str = "file, number", relation: Relation | None = None,
    ) -> None:  # fmt: skip
        """Make ``table`` of the first record of each key; the others are duplicates.

        With ``relation`` the records are facts, and the table says what each becomes.
        """
        source = kind
        if relation is not None:
            self._meanings(kind, relation)
            source = (
                f"(SELECT k.* REPLACE (m.predicate AS predicate), m.type, m.target_label "
                f"FROM {kind} k JOIN {kind}_meaning m ON k.predicate = m.stated)"
            )
        differs = " OR ".join(f"{c} IS DISTINCT FROM first_value({c}) OVER w" for c in content)
        self.db.execute(f"""
            CREATE TABLE ranked AS
            SELECT *, row_number() OVER w AS place, {differs or "false"} AS differs
            FROM {source}
            WINDOW w AS (PARTITION BY {", ".join(key)} ORDER BY {order})
        """)
        counts = self.db.execute("""
            SELECT file, count(*) FILTER (place = 1), count(*) FILTER (place > 1),
                count(*) FILTER (place > 1 AND differs)
            FROM ranked GROUP BY file
        """)
        for file, kept, lost, differing in counts.fetchall():
            self.books[file].merged += kept
            self.books[file].duplicates += lost
            self.books[file].conflicts += differing
        self.db.execute(f"""
            CREATE TABLE {table} AS
            SELECT r.* EXCLUDE (place, differs), source_name
            FROM ranked r JOIN loader USING (file) WHERE place = 1
        """)
        self.db.execute("DROP TABLE ranked")

    def _meanings(self, kind: str, relation: Relation) -> None:
        """What the schema makes of each predicate; dbo:director and its IRI are one."""
        self._table(
            f"{kind}_meaning",
            "stated VARCHAR, predicate VARCHAR, type VARCHAR, target_label VARCHAR",
        )
        for (stated,) in self.db.execute(f"SELECT DISTINCT predicate FROM {kind}").fetchall():
            predicate = expand(stated)
            self.db.execute(
                f"INSERT INTO {kind}_meaning VALUES (?, ?, ?, ?)",
                [stated, predicate, *(relation(predicate) or (None, None))],
            )

    def _of_item(self, predicate: str) -> tuple[str, str] | None:
        relation = fact_relation(predicate, self.label)
        return (relation.name, target_label(relation, self.label)) if relation else None

    def _filter(self, table: str, where: str) -> None:
        """Take rows outside the k-core away."""
        counts = self.db.execute(
            f"SELECT file, count(*) FROM {table} r WHERE {where} GROUP BY file"
        )
        for file, count in counts.fetchall():
            self.books[file].merged -= count
            self.books[file].filtered += count
        self.db.execute(f"DELETE FROM {table} r WHERE {where}")

    def _set_aside(self, table: str, where: str, reason: str, shown: str) -> None:
        """Take well-formed rows that have no place in this graph away."""
        found = self.db.execute(
            f"SELECT file, line, {shown} FROM {table} WHERE {where} ORDER BY file, number"
        )
        while rows := found.fetchmany(10_000):
            for file, line, text in rows:
                self.books[file].merged -= 1
                self.books[file].unused += 1
                self.quarantine.add(file, line, reason, text)
        self.db.execute(f"DELETE FROM {table} WHERE {where}")

    def _node_table(self, label: str, query: str, suffix: str = "") -> None:
        rows = self._copy(f"node-{label}{suffix}.parquet", query, "id")
        self.tables.append(Table("node", label, f"node-{label}{suffix}.parquet", rows))

    def _relation_table(self, name: str, source: str, target: str, query: str) -> None:
        file = f"relation-{name}-{target}.parquet"
        if rows := self._copy(file, query, "source, target"):
            self.tables.append(Table("relation", name, file, rows, source, target))

    def _copy(self, file: str, query: str, order: str) -> int:
        path = _quoted(str(self.folder / file))
        (done,) = self.db.execute(
            f"COPY (SELECT * FROM ({query}) ORDER BY {order}) TO '{path}' "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
        ).fetchall()
        return int(done[0])


def _quoted(text: str) -> str:
    """Text inside a SQL string."""
    return text.replace("'", "''")
