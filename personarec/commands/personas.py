"""Personas: learned, written to the graph, in words, their versions, prototypes and map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.schema import relation_type
from kg.store import GraphStore
from kg.views.personas import (
    Neighbour,
    current_model,
    neighbours,
    preferences_of,
    require_model,
    require_user,
    versions,
)
from kg.views.prototypes import (
    prototypes_of_user,
    read_agreement,
    read_places,
    read_prototypes,
    readers_of_prototype,
)
from personarec.commands.named_values import named_values
from personarec.console import out, print_table, progress_bar, say

if TYPE_CHECKING:
    from personarec.training.config import TrainConfig

DIMENSIONS = 256
"""Of dense personas where nothing else is asked for."""
NARROW = {"relational": 64}
"""Of those that are learned for minutes: wider took several times as long and ranked no better."""
NEAR = 5
"""Nearest readers that a persona in words names."""
SHOWN = 4
"""Facts shown of a prototype, or of what two readers share."""


# -- learned and written ---------------------------------------------------------------------------


def with_encoder(
    config: TrainConfig,
    encoder: str | None,
    dim: int | None,
    settings: Sequence[str],
    prototypes: int | None = None,
    texts: bool = False,
) -> TrainConfig:
    """A training with the personas that the options name.

    Args:
        config: the training.
        encoder: name in the registry, with its wrappers; the configuration's own if not given.
        dim: dimensions; if not given 256, or 64 of the relational encoder.
        settings: ``NAME=VALUE``, values as JSON or else as text.
        prototypes: how many; chosen by stability if not given.
        texts: whether items are told by what ``personarec texts`` wrote.

    Raises:
        ChangeSomethingError: no such encoder or setting, or an impossible value.
    """
    from personarec.training.persona_versions import encoder_of

    name = encoder or config.encoder
    width = dim or NARROW.get(name, DIMENSIONS)
    changed = config.model_copy(
        update={
            "encoder": name,
            "encoder_settings": {"dim": width} | named_values(settings, "--set"),
            "texts": texts,
            "prototypes": config.prototypes.model_copy(update={"number": prototypes}),
        }
    )
    encoder_of(changed)  # an unknown name is said before anything is read
    return changed


def train_personas(
    store: GraphStore, dataset: str, config: TrainConfig, home: Path, *, force: bool, processes: int
) -> dict[str, Any]:
    """Learn personas and save them in a folder; the graph stays as it is.

    Raises ChangeSomethingError for several processes and an encoder that trains in one.
    """
    from personarec.training.data import fact_model, read_data
    from personarec.training.parallel_fit import check_processes
    from personarec.training.persona_versions import (
        FittedPersonas,
        encoder_of,
        learn_personas,
        load_learned,
        save_learned,
        version_key,
    )

    check_processes(encoder_of(config), config.encoder, processes)
    say("reading the graph")
    data = read_data(store, dataset, home / "texts" if config.texts else None)
    if data.remark:
        say(data.remark)
    fit = data.split.fit(config.refit)
    folder = home / "personas" / version_key(data, fit, config)
    fresh = force or not folder.exists()
    if fresh:
        say(f"learning personas: {config.encoder}")
        facts = fact_model(data, config.facts)
        fitted = FittedPersonas(data, config, processes)
        save_learned(folder, learn_personas(store, facts, fitted), config)
    learned = load_learned(folder)
    (home / "personas" / f"{dataset}.latest").write_text(folder.name, "utf-8")
    found = learned.prototypes
    return {
        "version": learned.model.id,
        "folder": str(folder),
        "fresh": fresh,
        "dimension": learned.model.dimension,
        "users": learned.model.users,
        "fitted": learned.model.fitted,
        "preferences": len(learned.preferences),
        "prototypes": [p.name for p in found.prototypes] if found else [],
        "agreement": found.agreement if found else None,
    }


def print_trained(document: dict[str, Any]) -> None:
    """What was learned, where it is, and the next step."""
    state = "learned" if document["fresh"] else "learned before (--force learns again)"
    out.print(f"personas {document['version']}: {state}, {document['folder']}", markup=False)
    out.print(_what_is_in(document), markup=False)
    for name in document["prototypes"]:
        out.print(f"  {name}", markup=False)
    command = f"personarec personas write {document['version']}"
    out.print(f"write them to the graph: {command}", markup=False)


def write_personas_of(
    store: GraphStore, dataset: str, version: str | None, home: Path
) -> dict[str, Any]:
    """Write learned personas to the graph and make them current: the last ones, or a version.

    Raises ChangeSomethingError where there are none.
    """
    from personarec.training.persona_versions import load_learned, write_learned

    latest = home / "personas" / f"{dataset}.latest"
    name = version or (latest.read_text("utf-8") if latest.exists() else None)
    known = sorted(
        p.parent.name
        for p in (home / "personas").glob(f"{dataset}-*/personas.json")
        if p.parent.suffix != ".partial"  # what a killed process left
    )
    if name not in known:
        raise ChangeSomethingError(
            f"no learned personas {version or ''} of data set {dataset} in {home / 'personas'} "
            f"(there: {', '.join(known) or 'none'}); run personarec personas train first"
        )
    learned = load_learned(home / "personas" / name)
    if learned.model.dataset != dataset:
        raise ChangeSomethingError(f"personas {name} are of data set {learned.model.dataset}")
    with progress_bar() as progress:
        write_learned(store, learned, progress)
    found = learned.prototypes
    return {
        "current": learned.model.id,
        "dimension": learned.model.dimension,
        "users": learned.model.users,
        "preferences": len(learned.preferences),
        "prototypes": [p.name for p in found.prototypes] if found else [],
    }


def print_written(document: dict[str, Any]) -> None:
    """What is in the graph now."""
    out.print(f"current personas: {document['current']}", markup=False)
    out.print(_what_is_in(document), markup=False)


def _what_is_in(document: dict[str, Any]) -> str:
    vector = (
        f"a vector of {document['dimension']} numbers for each of {document['users']} users"
        if document["dimension"]
        else f"{document['users']} users as lists of facts, without a vector or an index"
    )
    number = len(document["prototypes"])
    prototypes = (
        f"{number} prototypes" if number else "no prototypes (readers too few or too alike)"
    )
    return f"{vector}, {document['preferences']} strongest facts, {prototypes}"


# -- in words --------------------------------------------------------------------------------------


def find_neighbours(
    store: GraphStore, dataset: str, user: str, n: int
) -> tuple[str, list[Neighbour]]:
    """A user's key and nearest users."""
    key = require_user(store, dataset, user)
    return key, neighbours(store, key, require_model(store, dataset), n)


def print_neighbours(user: str, found: list[Neighbour]) -> None:
    """Nearest users with what they share, in words."""
    rows = [
        (
            f.user, f"{f.cosine:.3f}", f.shared_items,
            "; ".join(_fact_words(s) for s in f.shared[:SHOWN]),
        )
        for f in found
    ]  # fmt: skip
    columns = ("neighbour", "cosine", "items in common", "both like")
    print_table(f"nearest to {user}", columns, rows)


def persona_document(store: GraphStore, dataset: str, user: str) -> dict[str, Any]:
    """The persona of a user as plain data."""
    key = require_user(store, dataset, user)
    model = require_model(store, dataset)
    return {
        "user": key,
        "model": model.id,
        "preferences": preferences_of(store, key, model),
        "prototypes": [r._asdict() for r in prototypes_of_user(store, key, model)],
        "neighbours": [asdict(n) for n in neighbours(store, key, model, NEAR)],
    }


def print_persona(document: dict[str, Any]) -> None:
    """A persona in words: what it likes, by kind; what kind of reader it is; who is near."""
    kinds: dict[str, list[str]] = {}
    for preference in document["preferences"]:
        kind = relation_type(preference["relation"]).doc
        kinds.setdefault(kind, []).append(f"{preference['name']} ({preference['weight']:.2f})")
    out.print(f"{document['user']} (personas {document['model']}) likes items", markup=False)
    for kind, names in kinds.items():
        out.print(f"  {kind}: {', '.join(names)}", markup=False)
    if not kinds:
        out.print("  of no known fact: nothing is known of the items this user touched")
    if document["prototypes"]:
        out.print("is like readers of")
    for prototype in document["prototypes"]:
        out.print(f"  {prototype['weight']:4.0%}  {prototype['name']}", markup=False)
    if document["neighbours"]:
        out.print("is nearest to")
    for near in document["neighbours"]:
        both = "; ".join(_fact_words(s) for s in near["shared"][:SHOWN])
        like = f", both like items {both}" if both else ""
        out.print(f"  {near['user']} ({near['cosine']:.2f}){like}", markup=False)


def _share_words(fact: dict[str, Any]) -> str:
    return f"{fact['name']} {fact['share']:.0%} ({fact['lift']:.1f}×)"


def _fact_words(shared: dict[str, Any]) -> str:
    return f"{relation_type(shared['relation']).doc} {shared['name']}"


# -- versions, prototypes, map ---------------------------------------------------------------------


def persona_versions(store: GraphStore, dataset: str) -> list[dict[str, Any]]:
    """Versions, oldest first."""
    current = current_model(store, dataset)
    return [
        asdict(m)
        | {
            "property": m.property_name if m.dimension else None,
            "index": m.index if m.dimension else None,
            "prototypes": len(read_prototypes(store, m)),
            "current": m == current,
        }
        for m in versions(store, dataset)
    ]


def prototype_document(store: GraphStore, dataset: str) -> dict[str, Any]:
    """The prototypes of the current personas as plain data."""
    model = require_model(store, dataset)
    return {
        "model": model.id,
        "users": model.users,
        "agreement": read_agreement(store, model),
        "prototypes": [
            {
                "id": p.id,
                "name": p.name,
                "size": p.size,
                "place": p.place,
                "facts": [f._asdict() for f in p.facts],
                "closest": [user for user, _ in readers_of_prototype(store, p.id, SHOWN)],
            }
            for p in read_prototypes(store, model)
        ],
    }


def print_prototypes(document: dict[str, Any]) -> None:
    """Prototypes with their size and what characterises them."""
    found = document["prototypes"]
    if not found:
        out.print(f"personas {document['model']} have no prototypes: too few readers", markup=False)
        return
    rows = [
        (
            p["name"], p["size"],
            "; ".join(_share_words(f) for f in p["facts"][:SHOWN]),
            p["closest"][0] if p["closest"] else "",
        )
        for p in found
    ]  # fmt: skip
    columns = (
        "prototype",
        "readers",
        "share of its readers that lean to (times as often)",
        "closest",
    )
    print_table(f"prototypes of {document['model']}", columns, rows)
    out.print(
        f"agreement {document['agreement']:.2f} between clusterings of redrawn readers "
        "(1: the same each time, 0: by chance)"
    )


def draw_map(store: GraphStore, dataset: str, path: Path) -> dict[str, Any]:
    """Draw the map of the current personas. Raises ChangeSomethingError where there is none."""
    from personarec.personas.picture import draw, write_picture

    model = require_model(store, dataset)
    places, prototypes = read_places(store, model), read_prototypes(store, model)
    if not places:
        raise ChangeSomethingError(
            f"personas {model.id} have no prototypes and so no map: there are too few readers, or "
            "an earlier release wrote them; run personarec train again"
        )
    write_picture(draw(dataset, places, prototypes), path)
    return {"file": str(path), "users": len(places), "prototypes": len(prototypes)}
