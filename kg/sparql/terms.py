"""Values as SPARQL terms: the only place where a title or an IRI becomes query text."""

from __future__ import annotations


class NotATermError(ValueError):
    """A text that cannot be an IRI or a literal; the message says why."""


def iri_term(iri: str) -> str:
    """An IRI in full, in angle brackets.

    Parentheses, commas and apostrophes stay as they are: no prefixed name, no escape. Nothing is
    encoded to make an IRI fit, since that would ask of another resource: an IRI with a character
    that RFC 3987 does not allow (white space, a control character, any of ``<>"{}|^`` or a
    backslash), without a scheme, or with a broken percent-encoding, is refused.

    Raises:
        NotATermError: it is no absolute IRI.
    """
    from pyoxigraph import NamedNode

    try:
        return str(NamedNode(iri))
    except ValueError as error:  # UnicodeEncodeError, of a lone surrogate, is one too
        raise NotATermError(f"not an IRI: {error}") from None


def english_term(text: str) -> str:
    """A text as an English literal, quoted and escaped.

    Raises:
        NotATermError: it holds NUL or half of a surrogate pair, which no stored text does.
    """
    from pyoxigraph import Literal

    if "\0" in text:
        raise NotATermError("not a text: it holds a NUL character")
    try:
        return str(Literal(text, language="en"))
    except ValueError as error:
        raise NotATermError(f"not a text: {error}") from None
