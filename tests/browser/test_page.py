"""The page in Chromium: what people do with it, by mouse, by keyboard, on a phone, light and dark.

Every test also fails when a request leaves this machine or the console has a complaint.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import in_ci
from page_desk import CHROMIUM, TOKEN, Addresses, Desk, running
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from kg.store import connect
from personarec.web.access import Access
from personarec.web.served import LiveModel

ROOT = Path(__file__).resolve().parents[2]
USER = "demo:DEMOR00007"
VIEWS = (
    "/", f"/?user={USER}", "/?view=map", "/?view=graph&node=Book:demo:DEMO000332", "/?view=cypher",
)  # fmt: skip


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    home = tmp_path_factory.mktemp("page") / "home"
    words = [
        "train", "--dataset", "demo", "--epochs", "2", "--threads", "1", "--workers", "1",
        "--rows", "popularity,none,transitions+facts", "--home", str(home),
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PERSONAREC_GRAPH")}
    subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", *words],
        cwd=ROOT, env=environment, capture_output=True, check=True, timeout=280,
    )  # fmt: skip
    with ExitStack() as stack:
        live = LiveModel(stack.enter_context(connect(None, home)), home, "demo")
        free = stack.enter_context(running(live, Access(None, local=True)))
        guarded = stack.enter_context(running(live, Access(TOKEN, local=True)))
        yield Addresses(free, guarded, live)


@pytest.fixture(scope="module")  # Playwright's event loop is in the way of tests that run their own
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"PAGE NOT TESTED: no {CHROMIUM}; scripts/setup-browser.sh installs it"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with sync_playwright() as play:
        # A container's root may not use Chromium's sandbox; only our own page is opened.
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def desk(chromium: Browser, addresses: Addresses) -> Iterator[Desk]:
    made = Desk(chromium, addresses)
    yield made
    for context in made.contexts:
        context.close()
    assert made.watch.foreign == []
    assert made.watch.unexpected() == []


def add(page: Page, text: str) -> None:
    """Add the first title that a text brings up."""
    page.get_by_label("Add a book to the session").fill(text)
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Enter")


def session_of(page: Page) -> list[str]:
    return page.locator("#session li span").all_inner_texts()


def nodes(page: Page) -> int:
    return page.locator(".graph .node").count()


# -- recommend -------------------------------------------------------------------------------------


def test_a_session_is_built_by_typing_and_answered_with_reasons(desk: Desk) -> None:
    page = desk.open()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    add(page, "dune")
    expect(page.locator("#session li")).to_have_count(1)
    add(page, "foundation")
    expect(page.locator("#session li")).to_have_count(2)
    assert session_of(page) == ["Dune", "Foundation"]
    expect(page.get_by_role("heading", level=1)).to_be_hidden()
    first = page.locator(".item").first
    expect(page.locator(".item")).to_have_count(10)
    # The first one is open: words, parts of the score, and the paths drawn.
    expect(first.locator(".paths li").first).to_contain_text(re.compile(r"Dune|Foundation"))
    expect(first.locator(".bar i").first).to_be_visible()
    expect(page.locator("#persona")).to_contain_text("This session leans to")

    page.get_by_role("button", name="Move down: Dune").click()
    expect(page.locator("#session li span").first).to_have_text("Foundation")
    # The address says it all.
    assert page.url.endswith("/?item=demo:DEMO000134&item=demo:DEMO000332")
    page.reload(wait_until="networkidle")
    assert session_of(page) == ["Foundation", "Dune"]
    page.get_by_role("button", name="Remove: Dune").click()
    expect(page.locator("#session li")).to_have_count(1)
    page.go_back()
    expect(page.locator("#session li")).to_have_count(2)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_what_is_shown_is_what_the_server_answers(desk: Desk) -> None:
    page = desk.open(f"/?user={USER}")
    answer = page.evaluate(
        """user => fetch("/recommend", {method: "POST", headers: {"Content-Type":
        "application/json"}, body: JSON.stringify({user, explain: true})}).then(r => r.json())""",
        USER,
    )
    shown = page.locator(".item h3").all_inner_texts()
    assert shown == [one["title"] for one in answer["recommendations"]]
    paths = page.locator(".item").first.locator(".paths li span").all_inner_texts()
    said = [p["words"] for p in answer["recommendations"][0]["paths"]]
    assert [p.lower() for p in paths] == [w.lower() for w in said]
    assert len(said) > 2


@pytest.mark.parametrize(
    ("added", "said"),
    [(0.4, "The learned rerank raised it"), (-0.4, "The learned rerank lowered it"), (0.0, "")],
)
def test_what_a_learned_rerank_did_is_said(desk: Desk, added: float, said: str) -> None:
    page = desk.open()

    def reranked(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for one in body["recommendations"]:
            one["parts"]["rerank"] = added
            one["score"] += added
        route.fulfill(response=answer, json=body)

    page.route("**/recommend", reranked)
    page.goto(f"/?user={USER}", wait_until="networkidle")
    expect(page.locator(".legend.parts li").last).to_have_text("Learned rerank")
    first = page.locator(".item").first
    expect(first.locator(".bar .part-rerank")).to_have_count(int(added > 0))
    sum_said = first.locator(".why > p").first
    expect(sum_said).to_contain_text("Learned rerank")
    assert ("The learned rerank" in sum_said.inner_text()) == bool(said)
    expect(sum_said).to_contain_text(said)


def test_a_node_shows_its_neighbours_and_can_be_dragged(desk: Desk) -> None:
    page = desk.open(f"/?user={USER}")
    before = nodes(page)
    assert before > 2
    node = page.locator(".graph .node.kind-fact, .graph .node.kind-person").first
    node.hover()
    expect(page.locator("#tip")).to_be_visible()
    node.click()
    expect(page.locator(".graph .node").nth(before)).to_be_attached()
    box = node.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 60, box["y"] + 75, steps=5)
    page.wait_for_timeout(300)
    moved = node.bounding_box()
    page.mouse.up()
    assert moved is not None
    assert abs(moved["y"] - box["y"]) > 25


def test_a_reader_has_a_persona_prototypes_and_neighbours(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Or look up a reader").fill("r00007")
    page.get_by_role("option", name="DEMOR00007").click()
    expect(page.locator("#persona")).to_contain_text("This reader leans to")
    assert page.locator("#persona .kinds a").count() >= 1
    page.locator("#near a").first.wait_for()
    other = page.locator("#near a").first.inner_text()
    assert other != "DEMOR00007"
    page.locator("#near a").first.click()
    expect(page.locator(".reader h2")).to_contain_text(other)
    assert page.url.endswith(f"/?user=demo:{other}")


@pytest.mark.parametrize(("label", "person"), [("Movie", "viewer"), ("Product", "customer")])
def test_people_are_called_by_what_they_touch(desk: Desk, label: str, person: str) -> None:
    page = desk.open("/?view=map")

    def about(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"label": label})

    page.route("**/page/about", about)
    page.reload(wait_until="networkidle")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Map of {person}s")
    page.goto("/", wait_until="networkidle")
    expect(page.get_by_label(f"Or look up a {person}")).to_be_visible()
    assert "reader" not in page.locator("body").inner_text()


def test_an_id_of_the_data_set_is_enough_in_an_address(desk: Desk) -> None:
    page = desk.open("/?user=DEMOR00007")
    expect(page.locator(".item").first).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.goto("/?view=graph&node=User:DEMOR00007", wait_until="networkidle")
    expect(page.locator("#about-node")).to_contain_text("DEMOR00007")


def test_an_unknown_item_or_reader_is_told(desk: Desk) -> None:
    desk.watch.expected.append("404")
    page = desk.open("/?item=nothing")
    expect(page.locator("#found")).to_contain_text("no item 'nothing'")
    expect(page.locator("#found").get_by_role("button", name="Try again")).to_be_visible()
    page.goto("/?view=graph&node=Book:nothing", wait_until="networkidle")
    expect(page.locator("#about-node")).to_contain_text("the graph has no node 'nothing'")
    page.goto("/", wait_until="networkidle")
    page.get_by_label("Add a book to the session").fill("no such title")
    expect(page.get_by_role("option")).to_have_text("No title contains “no such title”.")


def test_a_server_that_is_gone_is_told(desk: Desk) -> None:
    desk.watch.expected.append("ERR_INTERNET_DISCONNECTED")
    page = desk.open()
    desk.contexts[0].set_offline(True)
    page.get_by_role("link", name="Show a reader").click()
    expect(page.locator("#found")).to_contain_text("The server does not answer")
    desk.contexts[0].set_offline(False)
    page.locator("#found").get_by_role("button", name="Try again").click()
    expect(page.locator(".item")).to_have_count(10)


# -- map, graph, Cypher ----------------------------------------------------------------------------


def test_a_click_on_the_map_opens_the_reader(desk: Desk) -> None:
    page = desk.open("/?view=map")
    place = page.locator("#dots").evaluate("(map, user) => map.placeOf(user)", USER)
    assert page.locator(".signs button").count() > 1
    page.locator("#dots").hover(position=place)
    expect(page.locator("#tip")).to_be_visible()
    # Another reader may stand as near: whoever the tip names is opened.
    named = page.locator("#tip strong").inner_text()
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(".reader h2")).to_contain_text(named)
    page.go_back()
    page.locator("#kinds button").first.click()
    expect(page.locator("#kinds li.chosen")).to_have_count(1)
    page.get_by_role("link", name="Show in the graph").click()
    expect(page.locator("#about-node")).to_contain_text("characterised by")


def test_the_graph_of_any_node(desk: Desk) -> None:
    page = desk.open("/?view=graph&node=Book:demo:DEMO000332")
    expect(page.locator("#about-node h2")).to_have_text("Dune")
    before = nodes(page)
    assert before > 8
    assert page.locator(".graph .word", has_text="written by").count() == 1
    page.locator('.node[data-ref$="Frank_Herbert"]').click()
    expect(page.locator("#about-node h2")).to_have_text("Frank Herbert")
    assert nodes(page) > before
    assert page.url.endswith("node=Person:http://dbpedia.org/resource/Frank_Herbert".replace(
        "/", "%2F"))  # fmt: skip
    page.get_by_label("Find a book or a reader").fill("r00011")
    page.get_by_role("option").first.click()
    expect(page.locator("#about-node .kicker")).to_have_text("reader")
    page.get_by_role("link", name="Recommend to this reader").click()
    expect(page.locator(".reader h2")).to_contain_text("DEMOR00011")


def test_cypher_runs_recipes_draws_nodes_and_refuses_to_write(desk: Desk) -> None:
    desk.watch.expected.append("400 (Bad Request)")
    page = desk.open("/?view=cypher")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#answer .node").first).to_be_attached()
    page.get_by_label("Recipe").select_option("Two readers side by side")
    expect(page.get_by_label("$other")).to_have_value("demo:DEMOR00221")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#answer th").first).to_have_text("relation")
    rows = page.locator("#answer tbody tr").count()
    assert rows > 10
    assert "recipe=Two+readers+side+by+side" in page.url

    query = page.get_by_label("Query", exact=True)
    query.fill("MATCH (u:User {id: $user}) SET u.seen = true RETURN u.id AS id")
    query.press("Control+Enter")
    refused = page.locator("#answer .error")
    expect(refused).to_have_text(re.compile("^this box only reads, and this says SET; .*$"))
    query.fill("MATCH (n:User) RETURN n.nope(")
    query.press("Control+Enter")
    expect(refused).to_have_text(re.compile("^the graph does not take this query: "))
    query.fill("UNWIND range(1, 1000) AS n RETURN n, 'demo:DEMOR00007' AS id")
    query.press("Control+Enter")
    expect(page.locator("#answer .kicker")).to_contain_text("200 rows, cut at 200")
    page.locator("#answer td a").first.click()
    expect(page.locator("#about-node h2")).to_have_text("DEMOR00007")


# -- everybody -------------------------------------------------------------------------------------


def tab_to(page: Page, wanted: str, most: int = 40) -> None:
    """Press Tab until something of that name has the focus; it must show that it has."""
    for _ in range(most):
        page.keyboard.press("Tab")
        name, width = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            if (e === document.body) return ["", 0];
            return [e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent,
                    s.outlineStyle === "none" ? 0 : parseFloat(s.outlineWidth)]; }"""
        )
        if wanted in name:
            assert width >= 2 or "Dune" in wanted, "the focus is not seen"  # a node has a ring
            return
    raise AssertionError(f"no {wanted!r} within {most} tabs")


def test_all_of_it_by_keyboard(desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skips the head
    tab_to(page, "Fill in an example session")
    page.keyboard.press("Enter")
    expect(page.locator(".item")).to_have_count(10)
    tab_to(page, "Add a book")
    page.keyboard.type("dune me")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("#session li")).to_have_count(4)
    expect(page.locator("#session li").last).to_contain_text("Dune Messiah")
    page.locator("#found:not([aria-busy])").wait_for()
    tab_to(page, "Show the paths", 60)
    page.keyboard.press("Enter")
    expect(page.locator(".why:visible")).to_have_count(2)

    page.goto("/?view=graph&node=Book:demo:DEMO000332", wait_until="networkidle")
    before = nodes(page)
    tab_to(page, "Dune, book")
    page.keyboard.press("ArrowLeft")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused
    assert not focused.startswith("Dune, book")
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_function("n => document.querySelectorAll('.graph .node').length > n", arg=before)

    page.goto("/?view=map", wait_until="networkidle")
    tab_to(page, "Map of 300 readers")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    named = page.locator("#tip strong").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(".reader h2")).to_contain_text(named)


# Text whose contrast with what is behind it is under 4.5 (3 for large text), as WCAG counts it.
WEAK = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, n) => { const v = c[n] / 255;
    return sum + weight * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.closest(":disabled, .hidden"))
      continue;
    const style = getComputedStyle(element);
    let back = element;
    while (back && rgb(getComputedStyle(back).backgroundColor)[3] < 255) back = back.parentElement;
    const [a, b] = [light(rgb(element.closest("svg") ? style.fill : style.color)),
                    light(rgb(getComputedStyle(back ?? document.body).backgroundColor))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) weak.push(`${text.data.trim().slice(0, 30)}: ${ratio}`);
  }
  return weak;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_sideways_scroll_and_all_text_has_contrast(desk: Desk, scheme: str) -> None:
    page = desk.open(scheme=scheme, width=360, height=740)
    for view in VIEWS:
        page.goto(view, wait_until="networkidle")
        if "cypher" in view:
            page.get_by_role("button", name="Run").click()
            page.locator("#answer table").wait_for()
        if "user" in view:
            page.get_by_role("button", name="Show the paths").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, view
        assert page.evaluate(WEAK) == [], view


def test_weak_text_is_seen(desk: Desk) -> None:
    page = desk.open()
    page.evaluate("document.querySelector('h1').style.color = '#b0b0b0'")
    assert [w.split(":")[0] for w in page.evaluate(WEAK)] == ["What to read next, and why"]


def background(page: Page) -> Any:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_dark_and_light_follow_the_system_until_one_is_chosen(desk: Desk) -> None:
    light, dark = desk.open(), desk.open(scheme="dark")
    assert background(light) != background(dark)
    light.get_by_role("button", name="Dark theme").click()
    assert background(light) == background(dark)
    light.reload(wait_until="networkidle")
    assert background(light) == background(dark)


# -- who may ask -----------------------------------------------------------------------------------


def test_the_token_is_asked_for_once(desk: Desk) -> None:
    desk.watch.expected.append("401")
    page = desk.open(base=desk.addresses.guarded)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.get_by_role("textbox", name="Token").fill("another")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("does not take this token")
    page.get_by_role("textbox", name="Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Fill in an example session")).to_be_visible()
    page.goto(f"/?user={USER}", wait_until="networkidle")
    expect(dialog).to_be_hidden()
    expect(page.locator(".item")).to_have_count(10)
    assert TOKEN not in page.content() + page.url


def test_a_request_to_another_host_is_stopped_and_seen(desk: Desk) -> None:
    page = desk.open()
    reached = page.evaluate(
        "fetch('http://localhost.invalid/x').then(() => 'reached', () => 'stopped')"
    )
    assert reached == "stopped"
    assert any("Content Security Policy" in c for c in desk.watch.complaints)
    page.evaluate("console.error('planted')")
    assert "planted" in desk.watch.unexpected()
    desk.watch.complaints.clear()
    # A page without the policy shows that the watch sees such requests.
    page.goto("about:blank")
    page.evaluate("fetch('http://localhost.invalid/y').catch(() => 0)")
    assert desk.watch.foreign == ["http://localhost.invalid/y"]
    desk.watch.foreign.clear()
    desk.watch.complaints.clear()
