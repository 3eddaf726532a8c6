"""What clients send and get: the models of requests and responses, with examples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from kg.schema import FACT_RELATIONS
from personarec.web import limits


def _whole(given: Any) -> Any:
    """JSON has one kind of number: 5.0 is as good as 5."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]
Year = Annotated[int, Field(ge=limits.FIRST_YEAR, le=limits.LAST_YEAR), BeforeValidator(_whole)]
Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=limits.TEXT)]
RELATION_NAMES = tuple(r.name for r in FACT_RELATIONS)

# -- requests --------------------------------------------------------------------------------------


class Request(BaseModel):
    """A part of a request: no unknown names, no number in the place of a text or the reverse."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Attribute(Request):
    """A fact that a recommended item must have."""

    relation: Literal[RELATION_NAMES] | None = Field(  # type: ignore[valid-type]
        default=None,
        description="Relation type of the schema; any where left out.",
        examples=["AUTHOR"],
    )
    entity: Annotated[str, StringConstraints(min_length=1, max_length=limits.IRI)] = Field(
        description="IRI of the entity, or its name.",
        examples=["http://dbpedia.org/resource/Ursula_K._Le_Guin", "Ursula K. Le Guin"],
    )


class Filters(Request):
    """Which items may be recommended; an item must pass all."""

    exclude_seen: bool = Field(default=True, description="Leave out the items of the history.")
    attributes: list[Attribute] = Field(default=[], max_length=limits.ATTRIBUTES)
    title_contains: Word | None = Field(
        default=None,
        description="Text in the title; case and accents make no difference.",
        examples=["foundation"],
    )
    titled_only: bool = Field(default=False, description="Leave out items without a title.")
    year_from: Year | None = Field(
        default=None,
        description="First year; items whose year the graph does not tell are left out.",
        examples=[1965],
    )
    year_to: Year | None = Field(default=None, description="Last year.", examples=[1979])


class OfUser(Request):
    """A known user."""

    user: Word = Field(
        description="Key of the user, or the data set's own id.", examples=["DEMOR00007"]
    )


class OfItems(Request):
    """An anonymous session."""

    items: list[Word] = Field(
        min_length=1,
        max_length=limits.SESSION,
        description="Items, oldest first, by key, by the data set's own id, or by exact title.",
        examples=[["Dune", "Foundation"]],
    )


class Options(Request):
    """What to recommend."""

    n: Whole = Field(default=10, ge=1, le=limits.MOST, description="How many.")
    explain: bool = Field(
        default=False,
        description=f"Give the paths of the graph that lead to the first {limits.EXPLAINED}.",
    )
    diversity: Share = Field(
        default=0.0,
        description="0: by score alone; towards 1: more unlike each other by their facts.",
    )
    filters: Filters = Filters()


class ForUser(OfUser, Options):
    """Recommendations for a known user."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "DEMOR00007", "n": 5, "explain": True}]}
    )


class ForItems(OfItems, Options):
    """Recommendations for an anonymous session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": ["Dune", "Foundation"],
                    "n": 5,
                    "filters": {"title_contains": "foundation"},
                }
            ]
        }
    )


KINDS = ("user", "items")


def _kind(body: Any) -> str | None:
    """Which of the two a request is; None where it is neither or both."""
    named = [kind for kind in KINDS if isinstance(body, dict) and kind in body]
    return named[0] if len(named) == 1 else None


_EITHER = Discriminator(
    _kind, custom_error_type="whom", custom_error_message="give either user or items"
)
Whom = Annotated[Annotated[OfUser, Tag("user")] | Annotated[OfItems, Tag("items")], _EITHER]
Wanted = Annotated[Annotated[ForUser, Tag("user")] | Annotated[ForItems, Tag("items")], _EITHER]


class Batch(Request):
    """Users and sessions to answer at once, without explanations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requests": [{"user": "DEMOR00007"}, {"items": ["Dune"]}], "n": 3}]
        }
    )

    requests: list[Whom] = Field(min_length=1, max_length=limits.BATCH)
    n: Whole = Field(default=10, ge=1, le=limits.BATCH_MOST, description="How many for each.")
    diversity: Share = Field(default=0.0, description="As of a request of its own.")
    filters: Filters = Filters()


# -- responses -------------------------------------------------------------------------------------


class Problem(BaseModel):
    """A problem detail (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no item 'Dun' in data set demo; did you mean 'Dune'?"])
    request_id: str = Field(description="Also in the server's log.", examples=["5f1c"])


class Answer(BaseModel):
    """What each answer says of where it comes from."""

    dataset: str = Field(examples=["demo"])
    run: str = Field(
        description="The training run whose model answered.", examples=["demo-0f3a1c9d8e7b"]
    )
    personas: str | None = Field(
        description="Version of the personas in the graph.", examples=["demo-facts-1a2b3c4d"]
    )


class Fact(BaseModel):
    """A fact of an item."""

    relation: str = Field(examples=["AUTHOR"])
    id: str
    name: str
    words: str = Field(examples=["written by Frank Herbert"])


class Preference(Fact):
    """A fact that a user's items have in common."""

    weight: float = Field(description="Share of the persona's length, 0 to 1.")


class Path(BaseModel):
    """A path of the graph from an item of the history to the recommended one."""

    kind: Literal["transition", "fact", "readers"] = Field(examples=["fact"])
    source: str
    source_title: str
    target: str
    evidence: dict[str, int | str] = Field(
        description="Counts by gap of a transition, and its direction; relation, fact and name of "
        "a fact, and how many others of the history have it; how many readers chose both."
    )
    contribution: float = Field(
        description="How much lower the score, before the part rerank, would be without it."
    )
    share: float | None = Field(
        description="The same as a share of that score; null where it is not above 0, which is an "
        "average item's."
    )
    words: str = Field(examples=["like Dune: is about Space opera novels"])


class Recommendation(BaseModel):
    """An item and what its score is made of."""

    item: str
    title: str | None
    score: float
    parts: dict[str, float] = Field(
        description="They add up to the score. The part rerank, where a learned rerank is kept, is "
        "0 on average over the first items of the fused score, which it puts in another order.",
        examples=[{"sequence": 2.1, "transitions": 0.6, "facts": 0.3, "rerank": -0.2}],
    )
    paths: list[Path] | None = Field(description="Null where it was not explained.")


class Recommendations(Answer):
    """The best items, best first."""

    user: str | None = Field(description="Key of the user; null for a session.")
    history: list[str] = Field(description="Keys of the items it follows from, oldest first.")
    recommendations: list[Recommendation]


class SessionAnswer(Recommendations):
    """The best items after a session, and what the session likes."""

    persona: list[Preference] = Field(description="The strongest facts of the session's items.")


class Entry(BaseModel):
    """The answer to one of a batch: what it got, or why not."""

    status: int = Field(description="As of a request of its own.", examples=[200])
    user: str | None = None
    recommendations: list[Recommendation] | None = None
    detail: str | None = None


class BatchAnswer(Answer):
    """An entry for each request, in their order."""

    results: list[Entry]


class Persona(Answer):
    """The strongest facts of a user, strongest first."""

    user: str
    facts: list[Preference]


class Shared(Fact):
    """A fact that two users like."""

    strength: float


class NearUser(BaseModel):
    """A user with a near persona."""

    user: str
    cosine: float
    shared_items: int = Field(description="Items that both touched.")
    shared: list[Shared]


class Neighbours(Answer):
    """Users whose persona is nearest, nearest first."""

    user: str
    neighbours: list[NearUser]


class Characteristic(Fact):
    """A fact that readers of a prototype lean to more often than readers at large."""

    share: float = Field(description="Share of the prototype's readers that lean to it.")
    lift: float = Field(description="That share over the share among all readers.")
    p: float = Field(description="Chance of such a share by luck.")


class Prototype(BaseModel):
    """A kind of reader: a cluster of the personas."""

    id: str
    name: str = Field(description="Its most characteristic facts, in words.")
    size: int = Field(description="Readers whose strongest prototype it is.")
    x: float = Field(description="Place on the map of personas.")
    y: float
    facts: list[Characteristic] = Field(description="The most characteristic first.")


class Prototypes(Answer):
    """Kinds of readers, those with most readers first; none for personas made without them."""

    prototypes: list[Prototype]


class Resemblance(BaseModel):
    """How much of a prototype is in a persona."""

    id: str
    name: str
    weight: float = Field(description="0 to 1; a user's add up to 1.")


class Resemblances(Answer):
    """The prototypes of a user's persona, most first."""

    user: str
    prototypes: list[Resemblance]


class Item(Answer):
    """An item of the catalogue, and its facts."""

    item: str
    title: str | None
    iri: str | None
    abstract: str | None
    facts: list[Fact]


class Found(BaseModel):
    """An item that a search found."""

    item: str
    title: str


class SearchAnswer(Answer):
    """Titles that begin with the text, then those that contain it, each by title."""

    results: list[Found]


class Health(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """Model and graph answer."""

    status: Literal["ready"] = "ready"


class Reloaded(Answer):
    """The model that answers now, and whether it is another than before."""

    changed: bool
