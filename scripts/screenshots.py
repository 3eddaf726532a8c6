"""Draw the pictures of the page that docs/page.md shows, from a trained demo.

    personarec train --dataset demo
    python scripts/screenshots.py [--home .personarec] [--into docs/img]

Serves the demo on a free port of this machine, opens it in Chromium (PERSONAREC_CHROMIUM, or
/usr/bin/chromium; scripts/setup-browser.sh installs it) and writes page-*.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("PERSONAREC_CHROMIUM", "/usr/bin/chromium")
MOST_BYTES = 250_000
READER = "demo:DEMOR00007"
ITEMS = ("demo:DEMO000134", "demo:DEMO000332")
WIDE, PHONE = (1280, 800), (360, 740)


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """The address of a server of the demo."""
    command = [sys.executable, "-c", "from cli import main; main()", "serve", "--dataset", "demo"]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [*command, "--home", str(home), "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line == "}\n":
                break
        if not said:
            log.seek(0)
            raise SystemExit(log.read().strip())
        yield json.loads(said)["address"]
    finally:
        process.terminate()
        process.wait(30)


def shoot(page: Page, into: Path, name: str) -> None:
    """Write what is seen."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    file = into / f"page-{name}.png"
    page.screenshot(path=file)
    size = file.stat().st_size
    print(f"{file} {size // 1000} KB")
    if size > MOST_BYTES:
        raise SystemExit(f"{file} is larger than {MOST_BYTES // 1000} KB")


def draw(browser: Browser, address: str, into: Path) -> None:
    """All pictures."""

    def opened(path: str, size: tuple[int, int] = WIDE, scheme: str = "light") -> Page:
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        page.goto(address + path, wait_until="networkidle")
        return page

    shoot(opened("/"), into, "start")
    session = "/?" + "&".join(f"item={item}" for item in ITEMS)
    shoot(opened(session), into, "session")
    shoot(opened(f"/?user={READER}"), into, "reader")
    page = opened(f"/?user={READER}")
    page.locator(".why").first.evaluate("e => e.scrollIntoView({block: 'start'})")
    page.mouse.wheel(0, -90)
    shoot(page, into, "explanation")
    shoot(opened(f"/?view=map&user={READER}"), into, "map")
    page = opened("/?view=graph&node=Book:demo:DEMO000332")
    shoot(page, into, "graph")
    page = opened("/?view=graph&node=Book:demo:DEMO000332", scheme="dark")
    page.locator('.node[data-ref$="Frank_Herbert"]').click()
    page.wait_for_load_state("networkidle")
    shoot(page, into, "graph-dark")
    page = opened("/?view=cypher")
    page.get_by_role("button", name="Run").click()
    page.locator("#answer table").wait_for()
    page.locator("#recipe").evaluate("e => e.scrollIntoView({block: 'start'})")
    page.mouse.wheel(0, -110)
    shoot(page, into, "cypher")
    shoot(opened(session, PHONE), into, "phone")
    shoot(opened("/?view=map", PHONE, "dark"), into, "phone-dark")


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--home", type=Path, default=Path(".personarec"))
    parser.add_argument("--into", type=Path, default=Path("docs/img"))
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    with serving(given.home) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        draw(browser, address, given.into)
        browser.close()


if __name__ == "__main__":
    main()
