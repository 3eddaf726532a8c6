"""A server in this process, and pages in Chromium that are watched."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from personarec.web.access import Access
from personarec.web.app import create_app
from personarec.web.served import LiveModel
from personarec.web.server import address_of, listening

CHROMIUM = Path(os.environ.get("PERSONAREC_CHROMIUM", "/usr/bin/chromium"))
TOKEN = "s3ntinel-token-of-some-length"
PATIENCE = 30_000  # ms; a busy machine is slow, and a test that passes waits for nothing
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Addresses:
    """Where the page is: without a token, and with one."""

    free: str
    guarded: str
    live: LiveModel


@contextmanager
def running(live: LiveModel, access: Access) -> Iterator[str]:
    """A server in a thread of this process."""
    with listening("127.0.0.1", 0) as listener:
        app = create_app(live, access)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join(10)
            app.state.work.close()


@dataclass
class Watch:
    """What a page may not do: ask another host, or complain in the console."""

    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of complaints that a test brings about."""

    def follow(self, page: Page) -> None:
        page.on("request", lambda request: self._asked(request.url))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.foreign.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def unexpected(self) -> list[str]:
        return [c for c in self.complaints if not any(part in c for part in self.expected)]


class Desk:
    """Opens pages, each in a context of its own that is watched."""

    def __init__(self, browser: Browser, addresses: Addresses) -> None:
        self.browser = browser
        self.addresses = addresses
        self.watch = Watch()
        self.contexts: list[BrowserContext] = []

    def open(
        self,
        path: str = "/",
        *,
        scheme: str = "light",
        width: int = 1280,
        height: int = 800,
        base: str | None = None,
    ) -> Page:
        """A page at a path, when it has stopped asking."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            base_url=base or self.addresses.free,
        )
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        self.watch.follow(page)
        page.goto(path, wait_until="networkidle")
        return page
