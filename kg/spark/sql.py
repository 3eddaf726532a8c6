"""The reconciler's SQL on Spark: statements of the local SQL engine, one at a time.

The rules of staging stand once, as SQL for DuckDB (kg/ingest/reconcile.py). Queries are turned
into Spark's dialect by sqlglot; tables are immutable here, so that DELETE, UPDATE and INSERT make a
new table of the old one. Tables that took work to make are written to Parquet at once: Spark would
compute them again for every query that reads them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlglot
from sqlglot import exp

from kg.errors import PersonarecError
from kg.spark.session import waited_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROW_GROUP_BYTES = 4 * 1024 * 1024  # what a reader of a table holds at a time


class Rows:
    """Rows of a query, to be fetched."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows, at most ``size``; none at the end."""
        return list(islice(self._rows, size))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self._rows)


class SparkSql:
    """As much of a DuckDB connection as the reconciler uses.

    Args:
        spark: the session.
        folder: for tables; all workers must see it. Removed with what is in it by its owner.
        read: what to read for ``read_parquet('PATTERN')``.
    """

    def __init__(self, spark: SparkSession, folder: Path, read: Callable[[str], DataFrame]) -> None:
        self._spark = spark
        self._folder = folder
        self._read = read
        self._frames: dict[str, DataFrame] = {}
        self._typed: dict[str, list[list[Any]]] = {}
        """Rows put in one by one, not yet in the table's frame."""
        self._folders: dict[str, Path] = {}
        self._numbers = count()

    def create_function(
        self, name: str, work: Callable[[str], str], _arguments: list[str], _result: str
    ) -> None:
        """A function of one text; null stays null."""
        self._spark.udf.register(name, lambda text: None if text is None else work(text))

    def close(self) -> None:
        """Forget all tables."""
        for name in self._frames:
            self._spark.catalog.dropTempView(name)
        self._frames.clear()

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one or more statements; the rows are those of the last."""
        rows = Rows(iter(()))
        for tree in sqlglot.parse(text, read="duckdb"):
            if tree is not None:
                rows = self._run(tree, list(parameters))
        return rows

    def _run(self, tree: Any, parameters: list[Any]) -> Rows:
        if not isinstance(tree, exp.Insert) or not parameters:
            self._flush()
        if parameters and not isinstance(tree, exp.Insert):
            tree = _filled(tree, parameters)
        if isinstance(tree, exp.Query):
            return Rows(map(tuple, waited_for(self._query(tree).toLocalIterator)))
        if isinstance(tree, exp.Copy):
            return Rows(iter([(self._copy(tree),)]))
        work: dict[type, Callable[..., None]] = {
            exp.Create: self._create,
            exp.Insert: self._insert,
            exp.Delete: self._delete,
            exp.Update: self._update,
            exp.Alter: self._alter,
            exp.Drop: self._drop,
            exp.Set: lambda _: None,  # settings of the local engine
        }
        try:
            step = work[type(tree)]
        except KeyError:
            raise PersonarecError(
                f"the Spark engine has no form for this statement: {tree.sql('duckdb')[:200]}; "
                "this is a defect of personarec, please report it"
            ) from None
        step(tree, parameters) if step == self._insert else step(tree)
        return Rows(iter(()))

    # -- statements ------------------------------------------------------------------------------

    def _create(self, tree: exp.Create) -> None:
        name = _table(tree)
        if isinstance(tree.this, exp.Schema):  # CREATE TABLE name (column TYPE, ...)
            columns = ", ".join(c.sql("spark") for c in tree.this.expressions)
            self._put(name, self._spark.createDataFrame([], columns.replace("`", "")))
            return
        query = tree.expression
        if tree.kind == "VIEW":
            files = query.find(exp.ReadParquet)
            self._put(name, self._read(files.expressions[0].name))
        else:
            self._keep(name, self._query(query))

    def _insert(self, tree: exp.Insert, parameters: list[Any]) -> None:
        name = _table(tree)
        if parameters:
            self._typed.setdefault(name, []).append(parameters)
        else:
            old = self._frames[name]
            self._keep(name, old.union(self._query(tree.expression).toDF(*old.columns)))

    def _flush(self) -> None:
        for name, rows in self._typed.items():
            old = self._frames[name]
            self._put(name, old.union(self._spark.createDataFrame(rows, old.schema)))
        self._typed.clear()

    def _delete(self, tree: exp.Delete) -> None:
        name = _table(tree)
        if tree.find(exp.Query):
            gone = self._matching(tree)
            if not gone.isEmpty():
                self._keep(name, self._frames[name].exceptAll(gone))
        else:
            where = _spark(tree.args["where"].this)
            self._put(name, self._frames[name].where(f"NOT coalesce({where}, false)"))

    def _update(self, tree: exp.Update) -> None:
        name = _table(tree)
        old = self._frames[name]
        new = {e.this.name: _spark(e.expression) for e in tree.expressions}
        if tree.find(exp.Query):
            found = self._matching(tree)
            changed = found.selectExpr(*(f"{new.get(c, f'`{c}`')} AS `{c}`" for c in old.columns))
            self._keep(name, old.exceptAll(found).union(changed))
        else:
            where = _spark(tree.args["where"].this)
            self._put(
                name,
                old.selectExpr(
                    *(
                        f"CASE WHEN {where} THEN {new[c]} ELSE `{c}` END AS `{c}`"
                        if c in new
                        else f"`{c}`"
                        for c in old.columns
                    )
                ),
            )

    def _alter(self, tree: exp.Alter) -> None:
        name = _table(tree)
        frame = self._frames[name]
        for column in tree.args["actions"]:
            default = column.find(exp.DefaultColumnConstraint)
            value = _spark(default.this) if default else "NULL"
            kind = column.args["kind"].sql("spark")
            frame = frame.selectExpr("*", f"CAST({value} AS {kind}) AS `{column.name}`")
        self._put(name, frame)

    def _drop(self, tree: exp.Drop) -> None:
        name = _table(tree)
        del self._frames[name]
        self._spark.catalog.dropTempView(name)
        shutil.rmtree(self._folders.pop(name), ignore_errors=True)

    def _copy(self, tree: exp.Copy) -> int:
        """One sorted file; returns its rows."""
        query = tree.this.this if isinstance(tree.this, exp.Subquery) else tree.this
        order = [o.this.name for o in query.args["order"].expressions]
        query = query.copy()
        query.set("order", None)
        target = Path(tree.args["files"][0].name)
        folder = self._written(self._query(query).repartition(1).sortWithinPartitions(*order))
        (part,) = folder.glob("part-*.parquet")
        part.rename(target)
        shutil.rmtree(folder)
        return int(pl.scan_parquet(target).select(pl.len()).collect().item())

    # -- means -----------------------------------------------------------------------------------

    def _query(self, tree: Any) -> DataFrame:
        return self._spark.sql(_spark(self._without_replace(tree)))

    def _without_replace(self, tree: Any) -> Any:
        """``t.* REPLACE (x AS c)`` by names, which Spark has no word for."""

        def named(node: Any) -> Any:
            if not isinstance(node, exp.Select):
                return node
            columns: list[Any] = []
            for column in node.expressions:
                star = column.this if isinstance(column, exp.Column) else column
                replaced = star.args.get("replace") if isinstance(star, exp.Star) else None
                if not replaced:
                    columns.append(column)
                    continue
                new = {r.alias: r for r in replaced}
                source = node.args["from_"].this
                columns += [
                    new.get(c) or exp.column(c, table=source.alias_or_name, quoted=True)
                    for c in self._frames[source.name].columns
                ]
            node.set("expressions", columns)
            return node

        return tree.transform(named)

    def _matching(self, tree: exp.Delete | exp.Update) -> DataFrame:
        rows = exp.select("*").from_(tree.this.copy())
        rows.set("where", tree.args["where"].copy())
        return self._query(rows)

    def _keep(self, name: str, frame: DataFrame) -> None:
        folder = self._written(frame)
        self._put(name, self._spark.read.parquet(str(folder)))
        if name in self._folders:  # what the table was before: nothing else is made of that
            shutil.rmtree(self._folders[name], ignore_errors=True)
        self._folders[name] = folder

    def _written(self, frame: DataFrame) -> Path:
        folder = self._folder / f"table-{next(self._numbers)}"
        frame.write.option("parquet.block.size", ROW_GROUP_BYTES).parquet(str(folder))
        return folder

    def _put(self, name: str, frame: DataFrame) -> None:
        self._frames[name] = frame
        frame.createOrReplaceTempView(name)


def _table(tree: Any) -> str:
    return str(tree.find(exp.Table).name)


def _spark(tree: Any) -> str:
    return str(tree.sql("spark"))


def _filled(tree: Any, parameters: list[Any]) -> Any:
    values = iter(parameters)
    return tree.transform(
        lambda node: exp.convert(next(values)) if isinstance(node, exp.Placeholder) else node
    )
