"""DBpedia by an endpoint and by dumps: the same questions, the same answers."""

from __future__ import annotations

import bz2
import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import small_dbpedia as small
from services.misbehaving_proxy import misbehaving_proxy
from services.sparql_server import sparql_server
from sparql_small import client

from kg.dbpedia import dump_index
from kg.dbpedia.choose import dbpedia
from kg.dbpedia.dump_index import dump_files, file_index
from kg.dbpedia.dumps import DBpediaDumps
from kg.dbpedia.endpoint import DBpediaEndpoint
from kg.dbpedia.source import DBpedia, Description
from kg.dbpedia.vocabulary import BROADER, CATEGORY, FACTS, RESOURCE
from kg.errors import ChangeSomethingError
from kg.loaders.ntriples import read_ntriples
from kg.loaders.records import Abstract, IriFact, Label
from kg.schema import ABSTRACT, DBO, RDFS_LABEL, expand

Make = Callable[..., DBpedia]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sparql")
    with sparql_server(small.write(folder / "small.nt"), folder) as url:
        yield url


@pytest.fixture(params=["endpoint", "dumps"])
def make(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Make:
    """Makes each kind of source of the small DBpedia."""
    if request.param == "endpoint":
        return lambda **kw: DBpediaEndpoint(client(engine, tmp_path / "cache"), **kw)
    (tmp_path / "dumps").mkdir()
    small.write(tmp_path / "dumps" / "small.nt")
    return lambda **kw: DBpediaDumps(tmp_path / "dumps", tmp_path / "cache", **kw)


# -- labels ----------------------------------------------------------------------------------------


def test_resources_by_label(make: Make) -> None:
    quoted = 'A "quoted" \\ title\nof two lines > one'
    labels = ["Heat", "Heat (book)", "Older Name", "Film 0 (1900 film)", "heat", "Nothing",
              quoted, "", "a\0b", '" } #', "Le film 1", "Circle", "Kind 1",
              '"Crocodile" Dundee']  # fmt: skip
    assert make().by_label(labels) == {
        # Of its members one is a page, one moved twice; the page itself, a category and a label
        # in French are not there.
        "Heat": sorted([small.film(1), small.film(0), small.resource("Heat_(book)")]),
        "Heat (book)": [small.resource("Heat_(book)")],
        "Older Name": [small.film(0)],
        "Film 0 (1900 film)": [small.film(0)],
        quoted: [small.resource("Quotes")],
        '"Crocodile" Dundee': [small.resource("%22Crocodile%22_Dundee")],
        **{x: [] for x in ("heat", "Nothing", "", "a\0b", '" } #', "Le film 1", "Kind 1")},
        "Circle": [],  # it redirects to itself
    }
    assert make().by_label([]) == {}


def test_many_labels(make: Make) -> None:
    names = {f"Film {n} ({1900 + n % 100} film)": [small.film(n)] for n in range(small.FILMS)}
    assert make(batch=30).by_label([*names, *names]) == names


# -- descriptions ----------------------------------------------------------------------------------


def test_descriptions(make: Make) -> None:
    old, book = small.resource("Older_Name"), small.resource("Heat_(book)")
    asked = [small.film(0), small.film(3), old, book, small.resource("Not_There"),
             small.resource("Circle_1"), "not an IRI", 'http://x/">']  # fmt: skip
    found = make().describe(asked)
    assert list(found) == sorted([small.film(0), small.film(3), old, book])
    zero = Description(
        iri=small.film(0),
        label="Film 0 (1900 film)",
        types=frozenset({DBO + "Film"}),
        creators=frozenset({"Person 0"}),
        year=1900,
        abstract='Film 0: a "story"\nof two lines \\ é 😀.',
    )
    assert found[small.film(0)] == zero
    assert found[old] == zero._replace(iri=old)
    assert found[small.film(3)].year == 1953  # the earliest date goes before the label
    assert found[small.film(3)].creators == {"Person 3", "Person 9", "Person 21"}
    assert found[book] == Description(
        book, "Heat (book)", frozenset({DBO + "Book"}), frozenset({"A. Nonymous"}), None,
        "A short word on a book.",
    )  # fmt: skip


# -- facts -----------------------------------------------------------------------------------------

ODD_ONES = [
    small.resource("Older_Name"), small.resource("Circle_1"), small.resource("Not_There"),
    "no IRI", 'http://x/"> ?p ?o } #',
]  # fmt: skip


def test_facts(make: Make, tmp_path: Path) -> None:
    out, seen = tmp_path / "new folder" / "facts.nt", []
    fetched = make(batch=100).facts(
        [*small.films(), *small.films(), *ODD_ONES], out, lambda *at: seen.append(at)
    )
    records = list(read_ntriples(out))
    facts = [r for r in records if isinstance(r, IriFact)]
    names = {r.iri: r.text for r in records if isinstance(r, Label)}
    abstracts = {r.iri: r.text for r in records if isinstance(r, Abstract)}
    assert len(facts) + len(names) + len(abstracts) == len(records)  # each once, none rejected

    films, moved = set(small.films()), small.resource("Older_Name")
    truth = small.triples()
    stated = {t for t in truth if t[0] in films and t[1] in FACTS}
    stated |= {(moved, p, o) for s, p, o in stated if s == small.film(0)}
    categories = {o for _, p, o in stated if p == small.SUBJECT}
    broader = {t for t in truth if t[0] in categories and t[1] == BROADER}
    assert {tuple(f) for f in facts} == stated | broader
    assert len(broader) > 20

    named = films | {o for _, _, o in stated | broader}
    true_names = {s: t[0] for s, p, t in truth if p == RDFS_LABEL and t[1] == "en"}
    assert names == {i: true_names[i] for i in named} | {moved: true_names[small.film(0)]}
    true_abstracts = {s: t[0] for s, p, t in truth if p == ABSTRACT and t[1] == "en"}
    assert abstracts == true_abstracts | {moved: true_abstracts[small.film(0)]}

    assert fetched.resources == len(films) + len(ODD_ONES)
    assert (fetched.facts, fetched.labels) == (len(facts), len(names))
    assert (fetched.abstracts, fetched.malformed) == (len(abstracts), 0)
    assert fetched.redirected[moved] == small.film(0)
    assert fetched.unknown == (small.resource("Circle_1"), small.resource("Not_There"))
    assert set(fetched.refused) == {"no IRI", 'http://x/"> ?p ?o } #'}
    assert fetched.broken == {}
    assert (fetched.retrieved is None) == isinstance(make(), DBpediaDumps)
    assert seen[-1] == (len(films) + 3, len(films) + 3)
    assert len(seen) == 3


def test_endpoint_and_dumps_write_the_same_file(engine: str, tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    small.write(tmp_path / "dumps" / "small.nt")
    asked = [*small.films(), *ODD_ONES]
    files = []
    for number, source in enumerate((
        DBpediaEndpoint(client(engine, tmp_path / "a")),
        DBpediaEndpoint(client(engine, tmp_path / "b"), batch=7),
        DBpediaDumps(tmp_path / "dumps", tmp_path / "c"),
        DBpediaDumps(tmp_path / "dumps", tmp_path / "c", batch=33),
    )):  # fmt: skip
        source.facts(reversed(asked) if number % 2 else asked, tmp_path / f"{number}.nt")
        files.append((tmp_path / f"{number}.nt").read_bytes())
    assert len(files[0]) > 100_000
    assert len(set(files)) == 1


def test_no_resources_make_an_empty_file(make: Make, tmp_path: Path) -> None:
    assert make().facts([], tmp_path / "f.nt").resources == 0
    assert (tmp_path / "f.nt").read_bytes() == b""


def test_a_fetch_that_fails_leaves_the_old_file(engine: str, tmp_path: Path) -> None:
    out = tmp_path / "f.nt"
    out.write_text("old")
    source = DBpediaEndpoint(client(engine, tmp_path / "cache", max_rows=5), batch=2)
    with pytest.raises(ChangeSomethingError):
        source.facts(small.films(), out)
    assert out.read_text() == "old"
    assert list(tmp_path.glob("*.partial")) == []


def test_a_file_that_cannot_be_written(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChangeSomethingError, match="cannot write"):
        make().facts(small.films()[:1], tmp_path / "file" / "f.nt")


def test_an_endpoint_is_not_asked_of_too_many(tmp_path: Path) -> None:
    source = DBpediaEndpoint(client("http://127.0.0.1:9/x", tmp_path))
    with pytest.raises(ChangeSomethingError, match=r"50001 resources .* dumps"):
        source.facts((small.resource(str(n)) for n in range(50_001)), tmp_path / "f.nt")
    assert source.endpoint.requests == 0


def test_the_source_by_its_name(engine: str, tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    small.write(tmp_path / "dumps" / "small.nt")
    with misbehaving_proxy(engine) as proxy:
        by_endpoint = dbpedia(proxy.url, tmp_path / "a", contact="me@example.org")
        by_dumps = dbpedia(str(tmp_path / "dumps"), tmp_path / "b")
        assert by_endpoint.by_label(["Heat"]) == by_dumps.by_label(["Heat"])
    assert all("me@example.org" in agent for agent in proxy.agents)
    assert proxy.graphs[0] == []
    public = dbpedia("https://dbpedia.org/sparql", tmp_path / "c")
    assert isinstance(public, DBpediaEndpoint)
    assert public.endpoint.default_graph == "http://dbpedia.org"
    with pytest.raises(ChangeSomethingError, match="not the address"):
        dbpedia("ftp://dbpedia.org/", tmp_path / "d")


# -- real facts ------------------------------------------------------------------------------------


@pytest.fixture
def real(shared_data: Path, tmp_path: Path) -> tuple[Path, list[str], set[tuple[str, ...]]]:
    """Real triples as N-Triples, the linked IRIs, and the facts."""
    folder = shared_data / "movielens-dbpedia"
    if not (folder / "triples.tsv").is_file():
        pytest.skip("REAL DATA NOT TESTED: no movielens-dbpedia")
    lines = (folder / "triples.tsv").read_text("utf-8").splitlines()[1:]
    facts = {(s, expand(p), o) for s, p, o in (line.split("\t") for line in lines)}
    path = tmp_path / "real" / "real.nt"
    path.parent.mkdir()
    path.write_text("".join(f"<{s}> <{p}> <{o}> .\n" for s, p, o in sorted(facts)), "utf-8")
    items = (folder / "items.tsv").read_text("utf-8").splitlines()[1:]
    return path, [iri for line in items if (iri := line.split("\t")[3])], facts


def test_all_facts_of_real_films(
    real: tuple[Path, list[str], set[tuple[str, ...]]], tmp_path: Path
) -> None:
    path, iris, facts = real
    with sparql_server(path, tmp_path) as url:
        endpoint = client(url, tmp_path / "cache")
        fetched = DBpediaEndpoint(endpoint).facts(iris, tmp_path / "endpoint.nt")
    assert endpoint.requests == 2 * -(-len(iris) // 100)
    DBpediaDumps(path.parent, tmp_path / "index").facts(iris, tmp_path / "dumps.nt")
    found = [tuple(r) for r in read_ntriples(tmp_path / "endpoint.nt")]
    assert len(found) == fetched.facts == len(facts)
    assert set(found) == facts
    assert (tmp_path / "endpoint.nt").read_bytes() == (tmp_path / "dumps.nt").read_bytes()


# -- dumps -----------------------------------------------------------------------------------------


def turtle(triples: list[small.Triple]) -> str:
    """The same as Turtle that cannot be read line by line."""
    text = "".join(map(small.line, triples))
    text = re.sub(rf"<{RESOURCE}(\w+)>", r"res:\1", text)
    return f"@prefix res: <{RESOURCE}> .\n" + text.replace(" .\n", "\n  .\n")


def test_dump_files_of_every_kind(tmp_path: Path) -> None:
    triples = small.triples()
    parts = [triples[n::6] for n in range(6)]
    folder = tmp_path / "dumps"
    (folder / "sub").mkdir(parents=True)
    texts = ["".join(map(small.line, part)).encode() for part in parts]
    half = len(texts[3]) // 2
    (folder / "a.nt").write_bytes(texts[0])
    (folder / "b_lang=en.ttl").write_bytes(b"# started 2026\n" + texts[1] + b"# completed\n")
    (folder / "sub" / "c.ttl.bz2").write_bytes(bz2.compress(texts[2]))
    # Databus packs in parallel: several streams one after the other.
    several = bz2.compress(texts[3][:half]) + bz2.compress(texts[3][half:])
    (folder / "d.NT.BZ2").write_bytes(several)
    (folder / "e.nt.gz").write_bytes(gzip.compress(texts[4], mtime=0))
    (folder / "f.ttl").write_text(turtle(parts[5]), "utf-8")
    (folder / "notes.txt").write_text("no dump")
    (tmp_path / "one").mkdir()
    small.write(tmp_path / "one" / "small.nt")
    for name in ("dumps", "one"):
        DBpediaDumps(tmp_path / name, tmp_path / "cache").facts(
            small.films(), tmp_path / f"{name}.nt"
        )
    assert (tmp_path / "dumps.nt").read_bytes() == (tmp_path / "one.nt").read_bytes()
    assert (tmp_path / "one.nt").stat().st_size > 100_000


def test_an_index_holds_what_is_asked_for_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_index, "PART_ROWS", 500)
    path, cache = small.write(tmp_path / "a.nt"), tmp_path / "cache"
    index = file_index(path, cache)
    triples = small.triples()
    left_out = [
        t for t in triples
        if t[1] in (DBO + "runtime", DBO + "wikiPageWikiLink") or t[2] == "http://schema.org/Movie"
        or (not isinstance(t[2], str) and t[2][1] == "fr")
    ]  # fmt: skip
    assert (index.read, index.broken) == (len(triples), 0)
    assert index.kept == len(triples) - len(left_out)
    assert len(index.parts) == -(-index.kept // 500) > 3
    made = index.parts[0].stat().st_mtime_ns
    assert file_index(path, cache) == index
    assert index.parts[0].stat().st_mtime_ns == made
    path.write_text(path.read_text("utf-8") + small.line(triples[0]), "utf-8")
    assert file_index(path, cache).read == index.read + 1
    for part in index.parts:
        (part.parent / "books.json").unlink(missing_ok=True)  # as a half-made folder would be
    path.write_text("", "utf-8")
    assert file_index(path, cache) == dump_index.FileIndex((), 0, 0, 0)


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    lines = [small.line(t).encode() for t in small.triples()]
    broken = [b"nonsense\n", b'<http://x/a> <http://x/b> "no end .\n',
              b"<a> <b> <c> .\n", b"<http://x/a b> <http://x/b> <http://x/c> .\n",
              b"<http://x/\xff> \xfe .\n"]  # fmt: skip
    for number, line in enumerate(broken):
        lines.insert(100 * number + 3, line)
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / "a.nt").write_bytes(b"".join(lines))
    (folder / "fine.ttl").write_bytes(lines[0])
    (tmp_path / "one").mkdir()
    small.write(tmp_path / "one" / "small.nt")
    fetched = DBpediaDumps(folder, tmp_path / "cache").facts(small.films(), tmp_path / "a.out")
    DBpediaDumps(tmp_path / "one", tmp_path / "cache").facts(small.films(), tmp_path / "b.out")
    assert fetched.broken == {"a.nt": len(broken)}
    assert (tmp_path / "a.out").read_bytes() == (tmp_path / "b.out").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.nt", b"nonsense\n" * 101, "101 broken lines beside 0 good ones"),
        ("a.ttl", b"@prefix x: <http://x/> .\nx:a x:b x:c .\nx:a x:b .\n", "line 3: not Turtle"),
        ("a.nt.gz", gzip.compress(b"# a\n" * 99, mtime=0)[:-12], "cannot be read to its end"),
        ("a.nt.gz", b"no gzip", "cannot be read to its end"),
        ("a.ttl.bz2", bz2.compress(b"# a\n" * 99)[:-12], "cannot be read to its end"),
        (
            "a.nt.bz2",
            bz2.compress(b"# a\n") + b"BZ" + bz2.compress(b"# b\n")[3:],
            "cannot be read to its end",
        ),
        ("a.nt.bz2", b"no bzip2", "cannot be read to its end"),
        ("a.csv", b"a,b\n", r"no \.nt or \.ttl file"),
    ],
)
def test_dumps_that_are_none(name: str, content: bytes, why: str, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(ChangeSomethingError, match=why) as caught:
        DBpediaDumps(folder, tmp_path / "cache").by_label(["Heat"])
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match=r"no \.nt or \.ttl file"):
        dump_files(tmp_path / "none")


def test_objects_that_are_no_iris_are_counted(tmp_path: Path) -> None:
    """A public endpoint holds such; the fetch must live with them, and say so."""
    from kg.dbpedia.triples_file import triples_file

    out = tmp_path / "f.nt"
    with triples_file(out) as file:
        file.fact(small.film(1), FACTS[0], "http://x/with space")
        file.name("http://x/with space", "Name")
        file.abstract(small.film(1), " ")
        file.name(CATEGORY + "A", "a\0b")
        file.name(CATEGORY + "A", "First")
        file.name(CATEGORY + "A", "Second")
        assert (file.facts, file.labels, file.abstracts, file.malformed) == (0, 1, 0, 1)
    assert out.read_text() == f'<{CATEGORY}A> <{RDFS_LABEL}> "First"@en .\n'
