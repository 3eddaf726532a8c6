"""The page's own files, read once and sent with headers that keep the browser on this server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from fastapi import Request, Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# Nothing from elsewhere, nothing inline: a title in the graph that looks like a script stays text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INDEX = "index.html"


@dataclass(frozen=True)
class File:
    """A file's bytes, type and tag."""

    body: bytes
    type: str
    tag: str


def read_files() -> dict[str, File]:
    """The files of the page by name."""
    found = {}
    for path in files("personarec.web.page").joinpath("static").iterdir():
        ending = "." + path.name.rpartition(".")[2]
        if ending in TYPES:
            body = path.read_bytes()
            found[path.name] = File(
                body, TYPES[ending], f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            )
    return found


def send(file: File, request: Request) -> Response:
    """The file, or 304 where the browser has it."""
    headers = {
        "Cache-Control": "no-cache",  # asked for each time, and answered by the tag
        "ETag": file.tag,
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.type, headers=headers)
