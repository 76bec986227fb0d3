"""The page in a browser: search, compare, map, status, by pointer and by keys, on a phone and in the dark."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving import Served, serving

from gemlet import Embedder
from gemlet.index import Index
from gemlet.server import DIALECTS, OwnRoutes, Settings, pages

NOTES = {
    "notes/red.md": "# Planets\n\nMars is red. It is cold.",
    "notes/blue.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/wild.md": "# Wild\n\nA 🦘 <script>alert(1)</script> hops. Zyzzyva ends it.",
    "code/read.py": "def read_lines(path):\n    with open(path) as file:\n        return list(file)\n",
}
KEY = "a-key-of-this-test"


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory, tiny: Embedder) -> list[Path]:
    place = tmp_path_factory.mktemp("page")
    for name, text in NOTES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    made = []
    for name, roots in (("mine", ["notes", "code"]), ("other", ["code"])):
        with Index(place / f"{name}.db", model=tiny) as index:
            index.update([place / root for root in roots])
        made.append(place / f"{name}.db")
    return made


def until(page: Any, condition: str) -> None:
    """Wait until it is true: the page's policy lets playwright's own waiting evaluate nothing in it."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {condition}")


class Open:
    """A page of a server, and what it complained of."""

    def __init__(self, browser: Any, served: Served, view: str = "search", **options: Any) -> None:
        self.served = served
        self.page = browser.new_page(**{"viewport": {"width": 1000, "height": 800}, **options})
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{served.url}/#/{view}")
        self.page.locator("#facts-server dt").first.wait_for(state="attached")

    def search(self, words: str, hits: int) -> list[str]:
        """Type, wait for that many hits, and return the places."""
        self.page.fill("#query", words)
        until(self.page, f"document.querySelectorAll('.hit:not(.nearest)').length === {hits}")
        return self.page.locator(".hit .path").all_text_contents()

    def focus(self) -> str:
        return self.page.evaluate("document.activeElement.textContent || document.activeElement.id")


@pytest.fixture
def serve(tiny: Embedder) -> Iterator[Any]:
    with ExitStack() as stack:

        def start(*paths: Path, **settings: Any) -> Served:
            own = OwnRoutes(tiny, paths)
            parts = {"dialects": [*DIALECTS, own.dialect()], "pages": pages(), "ending": [own.close]}
            return stack.enter_context(serving(tiny, Settings(**settings), **parts))

        yield start


@pytest.fixture
def shown(browser: Any, serve: Any, indexes: list[Path]) -> Iterator[Open]:
    made = Open(browser, serve(*indexes))
    yield made
    assert made.complaints == []
    assert [url for url in made.asked if not url.startswith(made.served.url)] == []
    made.page.close()


# --- what is served ---------------------------------------------------------------------------------------------------


def test_the_page_has_a_policy_without_an_exception(serve: Any) -> None:
    served = serve()
    reply = served.ask("GET", "/")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert served.ask("GET", "/page/main.js").headers["content-type"].startswith("text/javascript")
    assert "default-src 'none'; frame" in served.ask("GET", "/health").headers["content-security-policy"]


def test_a_client_that_posts_to_the_same_address_gets_vectors(serve: Any) -> None:
    assert len(serve().post("/", {"inputs": "the sea"})[0]) == 64


@pytest.mark.parametrize("way", ["/page/../app.py", "/page/..%2fapp.py", "/page//etc/hostname", "/page/"])
def test_nothing_but_the_page_is_below_it(serve: Any, way: str) -> None:
    reply = serve().ask("GET", way)
    assert reply.status == 404
    assert b"import" not in reply.body


# --- search -----------------------------------------------------------------------------------------------------------


def test_results_come_while_typing_with_the_sentence_marked(shown: Open) -> None:
    shown.page.click("#filters summary")
    shown.page.select_option("[name=mode]", "keyword")
    assert shown.search("sea", 1) == ["notes/blue.md:3"]
    assert shown.page.text_content(".hit mark") == "The sea is blue."
    assert shown.page.text_content(".hit h2") == "Seas"
    assert shown.page.text_content("#outcome").startswith("1 of 4 passages")
    assert shown.page.text_content("#active") == "1 set"


def test_only_the_last_answer_is_shown(shown: Open) -> None:
    held = threading.Event()

    def slow(route: Any) -> None:
        if '"zyzzyva"' in route.request.post_data:
            held.set()
            shown.page.wait_for_timeout(700)
        route.continue_()

    shown.page.route("**/gemlet/search", slow)
    shown.page.click("#filters summary")
    shown.page.select_option("[name=mode]", "keyword")
    shown.page.fill("#query", "zyzzyva")
    shown.page.wait_for_timeout(250)
    assert held.is_set()
    assert shown.search("ships", 1) == ["notes/blue.md:3"]
    shown.page.wait_for_timeout(800)
    assert shown.page.locator(".hit .path").all_text_contents() == ["notes/blue.md:3"]


def test_what_stands_in_files_does_nothing(shown: Open) -> None:
    shown.page.click("#filters summary")
    shown.page.select_option("[name=mode]", "keyword")
    shown.search("zyzzyva", 1)
    assert "<script>alert(1)</script>" in shown.page.text_content(".snippet")
    assert shown.page.text_content(".hit mark") == "Zyzzyva ends it."  # behind a letter of two code units
    assert shown.page.locator("main img, main script").count() == 0


def test_nothing_that_matches_well_is_said_and_the_nearest_shown(shown: Open) -> None:
    shown.page.route("**/gemlet/search", lambda route: route.fulfill(json=_nothing(route.fetch().json())))
    shown.page.fill("#query", "revenue")
    shown.page.locator(".hit.nearest").first.wait_for()
    assert shown.page.text_content("#outcome") == "Nothing matches well among 4 passages. The nearest:"


def _nothing(found: dict[str, Any]) -> dict[str, Any]:
    every = [*found["hits"], *found["nearest"]]
    return {**found, "hits": [], "nearest": every[:1], "message": "nothing matches well among 4 passages"}


def test_keys_alone_are_enough(shown: Open) -> None:
    shown.page.locator("h1").first.evaluate("document.activeElement.blur()")
    shown.page.keyboard.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "query"
    shown.page.route("**/gemlet/search", _of_any_probability)
    shown.page.keyboard.type("the sea")
    shown.page.locator(".hit").nth(1).wait_for()
    shown.page.keyboard.press("ArrowDown")
    first = shown.focus()
    shown.page.keyboard.press("ArrowDown")
    assert shown.focus() != first
    shown.page.keyboard.press("ArrowUp")
    assert shown.focus() == first
    shown.page.keyboard.press("Enter")
    assert shown.page.locator(".whole-passage").first.is_visible()
    assert shown.page.locator(".hit h2 button").first.get_attribute("aria-expanded") == "true"
    shown.page.keyboard.press("Escape")
    assert shown.page.evaluate("document.activeElement.id") == "query"
    shown.page.keyboard.press("Escape")
    assert shown.page.input_value("#query") == ""
    assert shown.page.locator(".hit").count() == 0


def _of_any_probability(route: Any) -> None:
    """Send a request on, so that it finds whatever the tiny model thinks of it."""
    route.continue_(post_data=route.request.post_data[:-1] + ', "min_probability": 0}')


def test_an_answer_is_quoted_and_names_its_sources(shown: Open) -> None:
    shown.page.route("**/gemlet/ask", _of_any_probability)
    shown.page.fill("#query", "what is blue")
    shown.page.click("#ask")
    shown.page.locator("#answer-by:not(:empty)").wait_for()
    assert shown.page.text_content("#answer-text").startswith("“")
    assert shown.page.locator("#answer-sources li").count() >= 1
    assert shown.page.text_content("#answer-by").startswith("Quoted")


def test_enter_answers_what_is_a_question(shown: Open) -> None:
    shown.page.route("**/gemlet/*", _of_any_probability)
    shown.page.click(".tabs >> text=Question")
    shown.page.fill("#query", "what is blue")
    shown.page.keyboard.press("Enter")
    shown.page.locator("#answer-by:not(:empty)").wait_for()
    assert shown.page.text_content("#answer-text").startswith("“")
    assert shown.page.locator(".hit").count() >= 1


def test_the_other_index_is_searched_when_it_is_chosen(shown: Open) -> None:
    shown.page.select_option("#index", "other")
    shown.page.click("#filters summary")
    shown.page.select_option("[name=mode]", "keyword")
    shown.page.fill("#query", "sea")
    until(shown.page, "document.getElementById('outcome').textContent.startsWith('Nothing')")
    assert shown.page.locator("[name=kind] option").all_text_contents() == ["Any", "code"]


def test_more_like_a_file(shown: Open) -> None:
    shown.page.click("#filters summary")
    shown.page.select_option("[name=mode]", "keyword")
    shown.search("sea", 1)
    shown.page.click(".hit h2 button")
    shown.page.click(".whole-passage button")
    shown.page.locator("#like .path").wait_for()
    assert shown.page.text_content("#like .path") == "notes/blue.md"
    until(shown.page, "!document.querySelector('#hits').textContent.includes('notes/blue.md')")
    shown.page.click("#like button")
    assert shown.page.locator("#like").is_hidden()


# --- the other views --------------------------------------------------------------------------------------------------


def test_two_texts_are_compared_while_typing(shown: Open) -> None:
    shown.page.click("nav a[href='#/compare']")
    shown.page.fill("#text-a", "the red sea")
    assert shown.page.locator("#tasks").is_hidden()
    shown.page.fill("#text-b", "the red sea")
    shown.page.locator("#tasks tbody tr").nth(7).wait_for()
    row = shown.page.locator("#tasks tbody tr", has_text="Sentence similarity")
    assert "1.000" in row.text_content()
    assert "duplicate" in row.text_content()
    shown.page.fill("#text-b", "")
    assert shown.page.locator("#tasks").is_hidden()


def test_the_map_is_drawn_searched_and_walked(shown: Open) -> None:
    shown.page.click("nav a[href='#/map']")
    shown.page.locator("#map").wait_for()
    assert shown.page.evaluate("gemletMap.count") == 4
    shown.page.keyboard.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "search"
    shown.page.keyboard.type("ships")
    shown.page.locator("#found:not(:empty)").wait_for()
    assert shown.page.text_content("#found") == "1 of 4 found"
    shown.page.keyboard.press("Enter")
    assert "The sea is blue." in shown.page.text_content("#text")
    assert "notes/blue.md:1" in shown.page.text_content("#facts")
    shown.page.fill("#search", "")
    shown.page.focus("#map")
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("Escape")
    assert shown.page.locator("#card").is_hidden()
    shown.page.click("nav a[href='#/search']")
    shown.page.click("nav a[href='#/map']")
    assert shown.page.locator("#map").is_visible()


def test_the_status_is_the_servers(shown: Open) -> None:
    shown.page.click("nav a[href='#/status']")
    shown.page.locator(".index h3").nth(1).wait_for()
    told = shown.served.get("/gemlet/status")
    assert shown.page.text_content("#facts-server dd:nth-of-type(1)") == told["model"]
    assert shown.page.locator(".index h3").all_text_contents() == ["mine", "other"]
    assert "4 files, 4 passages of 64 numbers" in shown.page.text_content(".index")


def test_a_command_does_what_the_page_did(shown: Open) -> None:
    shown.page.fill("#query", 'it\'s a "red" $HOME `sea`')
    shown.page.click("#copy summary")
    until(shown.page, "document.getElementById('code').textContent.includes('sea')")
    assert _output(["bash", "-c", shown.page.text_content("#code").replace("curl ", "curl -s ", 1)]).startswith(b"{")
    shown.page.click("#as-python")
    assert b"'query': 'it\\'s a \"red\" $HOME `sea`'" in _output(["python3", "-c", shown.page.text_content("#code")])


def _output(command: list[str]) -> bytes:
    import shutil
    import subprocess

    if shutil.which(command[-1].split()[0] if command[0] == "bash" else command[0]) is None:
        pytest.skip("the command that the page shows needs curl or python3 on the path: install it")
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


# --- keys, no index, a server that is gone ---------------------------------------------------------------------------


def test_a_key_is_asked_for_and_kept_in_memory_alone(browser: Any, serve: Any, indexes: list[Path]) -> None:
    served = serve(*indexes, keys=(KEY,))
    page = browser.new_page()
    page.goto(served.url)
    page.locator("#key-dialog[open]").wait_for()
    page.fill("#key", "a-key-that-is-wrong")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('key-said').textContent.includes('does not fit')")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.fill("#query", "the sea")
    page.locator(".hit").first.wait_for()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    page.click("#copy summary")
    assert "$GEMLET_KEY" in page.text_content("#code")
    assert KEY not in page.content()
    page.reload()
    page.locator("#key-dialog[open]").wait_for()
    page.close()


def test_without_an_index_the_page_says_how_to_make_one(browser: Any, serve: Any) -> None:
    made = Open(browser, serve())
    made.page.locator("#no-index").wait_for()
    assert "gemlet index" in made.page.text_content("#no-index pre")
    assert made.page.locator("#query").is_disabled()
    made.page.click("#no-index a")
    made.page.fill("#text-a", "sea")
    made.page.fill("#text-b", "sea")
    made.page.locator("#tasks tbody tr").nth(7).wait_for()
    made.page.click("nav a[href='#/map']")
    assert "no index yet" in made.page.text_content("#map-said")
    assert made.complaints == []
    made.page.close()


def test_an_index_that_is_gone_is_told(
    browser: Any, serve: Any, indexes: list[Path], tmp_path: Path, tiny: Embedder
) -> None:
    gone = tmp_path / "gone.db"
    gone.write_bytes(indexes[0].read_bytes())
    made = Open(browser, serve(gone))
    gone.unlink()
    made.page.fill("#query", "sea")
    made.page.locator("#outcome.failed").wait_for()
    assert "is not there at the moment" in made.page.text_content("#outcome")
    made.page.close()


# --- sizes and eyes ---------------------------------------------------------------------------------------------------

VIEWS = ("search", "compare", "map", "status")


def test_a_phone_in_the_dark(browser: Any, serve: Any, indexes: list[Path]) -> None:
    size = {"width": 360, "height": 740}
    phone = Open(browser, serve(*indexes), viewport=size, has_touch=True, is_mobile=True, color_scheme="dark")
    assert phone.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    phone.page.fill("#query", "the sea")
    phone.page.locator(".hit").first.wait_for()
    for view in VIEWS:
        phone.page.tap(f"nav a[href='#/{view}']")
        if view == "map":
            phone.page.locator("#map").wait_for()
            assert phone.page.locator("#map").bounding_box()["height"] > 150
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert phone.complaints == []
    phone.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(browser: Any, serve: Any, indexes: list[Path], scheme: str) -> None:
    """By axe-core: GEMLET_AXE names its axe.min.js (`npm install axe-core`); without it this test is skipped."""
    script = os.environ.get("GEMLET_AXE")
    if script is None:
        pytest.skip("GEMLET_AXE names no axe.min.js: npm install axe-core, and name its file")
    made = Open(browser, serve(*indexes), color_scheme=scheme)
    made.page.fill("#query", "the sea")
    made.page.locator(".hit").first.wait_for()
    for summary in ("#filters summary", "#copy summary", ".hit h2 button"):
        made.page.locator(summary).first.click()
    source = Path(script).read_text(encoding="utf-8")
    for view in VIEWS:
        made.page.click(f"nav a[href='#/{view}']")
        if view == "compare":
            made.page.fill("#text-a", "sea")
            made.page.fill("#text-b", "the sea")
            made.page.locator("#tasks tbody tr").nth(7).wait_for()
        if view == "map":
            made.page.locator("#map").wait_for()
        made.page.evaluate(source)
        found = made.page.evaluate("axe.run()")["violations"]
        assert [(one["id"], [n["html"] for n in one["nodes"]]) for one in found if _serious(one)] == []
    made.page.close()


def _serious(fault: dict[str, Any]) -> bool:
    return fault["impact"] in ("serious", "critical")
