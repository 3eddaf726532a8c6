"""SPARQLWrapper set to POST and JSON, and kept from following redirects."""

from __future__ import annotations

from typing import Any
from urllib.request import HTTPRedirectHandler, build_opener

from SPARQLWrapper import JSON, POST, SPARQLWrapper


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Transport(SPARQLWrapper):
    """One query on its way."""

    def __init__(self, url: str, agent: str, seconds: float) -> None:
        super().__init__(url, agent=agent, returnFormat=JSON)
        self._seconds = seconds
        self.setMethod(POST)
        # By the Accept header alone: else it adds three parameters of which endpoints know one.
        self.setOnlyConneg(True)

    def _query(self) -> tuple[Any, str]:
        # In place of SPARQLWrapper's own, which follows redirects and, of an error, keeps the
        # text only: Retry-After would be lost.
        response = build_opener(_NoRedirect).open(self._createRequest(), timeout=self._seconds)
        return response, self.returnFormat
