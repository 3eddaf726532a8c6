"""Persona encoders by name, for ``--encoder``; nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError, did_you_mean, one_line

if TYPE_CHECKING:
    from personarec.personas.encoder import Encoder

ENCODERS = {
    "random": "baselines.controls:RandomEncoder",
    "constant": "baselines.controls:ConstantEncoder",
    "mean-item": "baselines.features:MeanItemEncoder",
    "text": "baselines.texts:TextEncoder",
    "keywords": "baselines.texts:KeywordsEncoder",
    "propagation": "propagation:PropagationEncoder",
    "svd": "baselines.svd:SvdEncoder",
    "ease": "baselines.ease:EaseEncoder",
    "lightgcn": "baselines.lightgcn:LightGcnEncoder",
    "hdgi": "inductive_hdgi:InductiveHdgiEncoder",
    "relational": "relational.encoder:RelationalEncoder",
    "facts": "facts:FactEncoder",
}
WRAPPERS = {
    "shuffled": "baselines.controls:ShuffledEncoder",
    "shrunk": "shrinkage:ShrunkEncoder",
    "recent": "recency:RecentEncoder",
}
"""Written before the encoder they change: ``shuffled:svd``."""


def make_encoder(name: str, **settings: Any) -> Encoder:
    """The encoder of a name with its settings (``dim``, ``seed`` and its own).

    With a wrapper, settings that the wrapper does not have are those of the encoder inside.

    Raises:
        ChangeSomethingError: no such name or setting, or an impossible value.
    """
    wrapper, colon, inner = name.partition(":")
    if colon:
        kind = _class(wrapper, WRAPPERS, "wrapper")
        own = {k: v for k, v in settings.items() if k in kind.model_fields}
        rest = {k: v for k, v in settings.items() if k not in own or k in ("dim", "seed")}
        return _build(kind, name, {**own, "inner": make_encoder(inner, **rest)})
    return _build(_class(name, ENCODERS, "encoder"), name, settings)


def _class(name: str, known: dict[str, str], what: str) -> type[Encoder]:
    if name not in known:
        raise ChangeSomethingError(
            f"no persona {what} {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}"
        )
    module, _, attribute = known[name].partition(":")
    found: type[Encoder] = getattr(import_module(f"personarec.personas.{module}"), attribute)
    return found


def _build(kind: type[Encoder], name: str, settings: dict[str, Any]) -> Encoder:
    from pydantic import ValidationError

    try:
        return kind(**settings)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        unknown = wrong["type"] == "extra_forbidden"
        meant = did_you_mean(where, kind.model_fields) if unknown else ""
        raise ChangeSomethingError(
            f"encoder {name}: setting {where!r}: {one_line(Exception(wrong['msg']))}; there are: "
            f"{', '.join(kind.model_fields)}{meant}"
        ) from error
