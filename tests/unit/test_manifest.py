"""--dataset: built-in names, folders, manifest files, and one line of advice for all else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from kg.ingest import Source
from kg.loaders import LOADERS, Loader, loader
from personarec.datasets.manifest import (
    builtin_names,
    from_manifest,
    name_of,
    resolve,
    wants_dbpedia,
)

RATINGS = "user_id\titem_id\trating\ttimestamp\nu\t1\t4\t10\n"
FACTS = "head\trelation\ttail\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "films"
    path.mkdir()
    (path / "interactions.tsv").write_text(RATINGS)
    return path


def refusal(dataset: str | Path) -> str:
    with pytest.raises(ChangeSomethingError) as caught:
        resolve(str(dataset))
    message = str(caught.value)
    assert "\n" not in message
    return message


def manifest(folder: Path, **changes: str | None) -> Path:
    """A good manifest with some options changed, or left out where None."""
    options = {
        "name": "films",
        "domain": "movies",
        "sources": "[{loader: tsv-interactions, path: interactions.tsv}]",
    } | changes
    path = folder / "m.yaml"
    path.write_text("".join(f"{k}: {v}\n" for k, v in options.items() if v is not None))
    return path


# -- built-in --------------------------------------------------------------------------------------


def test_the_demo_comes_with_the_package() -> None:
    found = resolve("demo")
    assert (found.name, found.domain, found.item_label) == ("demo", "books", "Book")
    assert [s.loader for s in found.sources] == ["amazon-reviews", "tsv-items", "ntriples"]
    assert all(s.path.is_file() for s in found.sources)
    assert {"demo", "beauty"} <= set(builtin_names())


def test_a_built_in_name_wins_over_a_folder_of_that_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.rename(folder.parent / "demo").parent)
    assert resolve("demo").domain == "books"
    assert resolve("./demo").sources[0].loader == "tsv-interactions"


def test_a_built_in_data_set_without_its_files_says_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for unset in (None, ""):
        if unset is None:
            monkeypatch.delenv("PERSONAREC_DATA", raising=False)
        else:
            monkeypatch.setenv("PERSONAREC_DATA", unset)
        message = refusal("beauty")
        assert "name the folder that holds Beauty.txt with --data, or set" in message
        assert "PERSONAREC_DATA to the folder above amazon-beauty" in message
        assert "S3-Rec" in message
    monkeypatch.setenv("PERSONAREC_DATA", str(tmp_path))
    message = refusal("beauty")
    assert str(tmp_path / "amazon-beauty" / "Beauty.txt") in message
    assert "is missing; it is published at the S3-Rec repository" in message
    (tmp_path / "amazon-beauty").mkdir()
    for name in ("Beauty.txt", "Beauty_item2attributes.json"):
        (tmp_path / "amazon-beauty" / name).write_text("x")
    assert resolve("beauty").domain == "products"


@pytest.mark.parametrize(
    ("dataset", "reviews", "metadata"),
    [
        ("books", "Books_5.json.gz", "meta_Books.json.gz"),
        ("books", "Books.jsonl.zst", "meta_Books.jsonl"),
        ("books", "reviews_Books.json.gz", "meta_Books.json.bz2"),
        ("books", "Books.parquet", "meta_Books.parquet"),
        ("movies", "Movies_and_TV_5.json", "meta_Movies_and_TV.json"),
    ],
)
def test_amazons_files_are_found_by_the_names_they_are_published_under(
    dataset: str, reviews: str, metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"amazon-{dataset}"
    folder.mkdir()
    monkeypatch.setenv("PERSONAREC_DATA", str(tmp_path))
    for name, kind in ((reviews, "Books_5.json"), (metadata, "meta_Books.json")):
        message = refusal(dataset)
        assert kind.replace("Books", "Movies_and_TV" if dataset == "movies" else "Books") in message
        assert str(folder) in message
        assert "published at https://" in message
        (folder / name).write_text("")
    found = resolve(dataset)
    assert (found.name, found.domain, found.k_core) == (dataset, dataset, 5)
    assert [(s.loader, s.path.name) for s in found.sources] == [
        ("amazon-reviews", reviews),
        ("amazon-metadata", metadata),
    ]
    assert resolve(dataset, data=folder) == found
    assert [s.loader for s in resolve(dataset, also=True).sources][-1] == "amazon-also"
    assert resolve(dataset, k_core=0).k_core == 0
    monkeypatch.delenv("PERSONAREC_DATA")
    assert resolve(dataset, data=folder) == found
    assert wants_dbpedia(dataset)


def test_amazon_kg_files_are_taken_where_they_are(tmp_path: Path) -> None:
    for name in (
        "Books_5.json", "meta_Books.json", "Amazon-KG-5core-Books.link", "Amazon-KG-5core-Books.kg",
        "triples_Books.csv",
    ):  # fmt: skip
        (tmp_path / name).write_text("")
    assert [s.loader for s in resolve("books", data=tmp_path).sources] == [
        "amazon-reviews", "amazon-metadata", "recbole-link", "recbole-kg", "amazon-kg-triples",
    ]  # fmt: skip


def test_later_purchases_cannot_be_asked_of_a_data_set_without_them(folder: Path) -> None:
    with pytest.raises(ChangeSomethingError, match="--also: data set films has no source of items"):
        resolve(str(folder), also=True)
    assert not wants_dbpedia(str(folder))


def test_an_unknown_name_is_said_with_a_hint() -> None:
    assert "did you mean demo?" in refusal("dmeo")
    assert "did you mean" not in refusal("nothing-like-it")
    assert "neither built in (beauty, books, demo, movies)" in refusal("no/such/folder")


def test_the_name_is_known_without_a_look_at_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERSONAREC_DATA", raising=False)
    assert name_of("beauty") == "beauty"
    assert name_of("in-the-graph-only") == "in-the-graph-only"
    assert name_of(str(folder)) == "films"
    assert name_of(str(manifest(folder, name="other"))) == "other"


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_is_a_data_set_of_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = resolve(str(folder))
    assert (found.name, found.domain) == ("films", "products")
    assert found.sources == (Source("tsv-interactions", folder / "interactions.tsv"),)
    (folder / "items.tsv").write_text("item_id\ttitle\tgenres\tdbpedia_uri\n")
    (folder / "triples.tsv").write_text(FACTS)
    found = resolve(str(folder))
    assert [s.loader for s in found.sources] == ["tsv-interactions", "tsv-items", "tsv-facts"]
    monkeypatch.chdir(folder)
    assert resolve(".").name == "films"


@pytest.mark.parametrize(
    ("predicates", "domain"),
    [
        ([], "products"),
        (["dbo:nothing", "dbo:runtime"], "products"),
        (["dbo:director"], "movies"),  # fits both: films before books
        (["dbo:author"], "books"),
        (["dbo:notableWork", "http://dbpedia.org/ontology/author", "dbo:director"], "books"),
        (["dbo:author", "dbo:cinematography", "dbo:distributor"], "movies"),
        (["dbo:genre"], "movies"),
    ],
)
def test_the_domain_follows_from_the_facts(
    predicates: list[str], domain: str, folder: Path
) -> None:
    lines = [f"http://x/{n}\t{p}\thttp://x/o\n" for n, p in enumerate(predicates)]
    (folder / "triples.tsv").write_text(FACTS + "".join(lines) + "a broken line\n")
    assert resolve(str(folder)).domain == domain


def test_a_folder_without_interactions_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert f"{tmp_path} has no interactions.tsv" in message
    assert "manifest.yaml" in message


@pytest.mark.parametrize("name", ["two words", "-dash", "ünï", "a:b", "x" * 65, ".hidden", "a`b"])
def test_a_folder_whose_name_cannot_be_a_key_is_refused(name: str, folder: Path) -> None:
    renamed = folder.rename(folder.parent / name)
    assert f"folder name {name!r} cannot be a data set's name" in refusal(renamed)


def test_a_folder_with_a_manifest_is_what_that_says(folder: Path) -> None:
    manifest(folder, name="told").rename(folder / "manifest.yaml")
    assert resolve(str(folder)).name == "told"


def test_broken_facts_of_a_folder_are_said_at_once(folder: Path) -> None:
    (folder / "triples.tsv").write_text("subject\tpredicate\tobject\n")
    assert "the first line must be the header head relation tail" in refusal(folder)


# -- manifests -------------------------------------------------------------------------------------


def test_a_manifest_names_its_files_from_where_it_lies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(folder)
    found = resolve(str(path))
    assert (found.name, found.domain) == ("films", "movies")
    assert found.sources == (Source("tsv-interactions", folder / "interactions.tsv"),)
    monkeypatch.setenv("PERSONAREC_DATA", str(folder.parent))
    assert from_manifest(manifest(folder, data_folder="films")) == found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"naem": "x"}, "unknown option naem; did you mean name?"),
        ({"zzz": "x"}, "unknown option zzz; there are: name, domain, sources"),
        ({"sources": "[{loader: ntriples, file: f.nt, path: f.nt}]"}, "unknown option sources.0."),
        ({"sources": "[{loader: ntriples, pth: f.nt}]"}, "sources.0.path"),
        ({"sources": "[{loader: csv, path: f}]"}, "sources.0.loader: no loader 'csv'; there are: "),
        ({"sources": "[]"}, "sources: "),
        ({"sources": "interactions.tsv"}, "sources: "),
        ({"sources": None}, "sources: Field required"),
        ({"domain": "music"}, "domain: Input should be 'books', 'movies' or 'products'"),
        ({"name": None}, "name: Field required"),
        ({"name": "5"}, "name: Input should be a valid string"),
        ({"name": "'a b'"}, "name: letters, digits, '.', '_' and '-' only, 64 at most"),
        ({"name": "'a:b'"}, "name: letters"),
        ({"name": "''"}, "name: letters"),
        ({"name": f"'{'x' * 65}'"}, "name: letters"),
        ({"5": "x"}, "option names must be texts"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    changes: dict[str, str | None], said: str, folder: Path
) -> None:
    path = manifest(folder, **changes)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_an_option_of_a_source_is_hinted_among_those_of_sources(folder: Path) -> None:
    sources = "[{loader: ntriples, path: f, lodaer: x}]"
    assert "did you mean loader?" in refusal(manifest(folder, sources=sources))


@pytest.mark.parametrize(
    "text",
    [
        "name: [unclosed", "name: 'a\nb", "\tname: x", "a: &x *y", "name: 2001-99-99", "name: \0",
        "!!python/object/apply:os.system ['true']", "? [a]\n: b\n? {x: y}\n: c", "[" * 5_000,
        b"\xff\xfe\xff",
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_said_in_one_line(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert refusal(path).startswith(f"{path}: not YAML: ")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "text", "5", "null", "# nothing"])
def test_yaml_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    assert refusal(path) == f"{path}: a manifest is a mapping with name, domain and sources"


@pytest.mark.parametrize("missing", ["gone.tsv", "gone/gone.tsv", ".", "''", "../films"])
def test_a_missing_file_is_named(missing: str, folder: Path) -> None:
    sources = f"[{{loader: tsv-interactions, path: {missing}}}]"
    message = refusal(manifest(folder, sources=sources))
    assert message.startswith(str(folder))
    assert message.endswith(" is missing; put it there, or name its folder with --data")


def test_a_loader_added_to_the_registry_can_be_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(folder, sources="[{loader: planted, path: interactions.tsv}]")
    assert "no loader 'planted'" in refusal(path)
    planted = Loader("planted", "a test's", loader("tsv-interactions").read)
    monkeypatch.setitem(LOADERS, "planted", planted)
    assert from_manifest(path).sources[0].loader == "planted"
