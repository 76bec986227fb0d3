"""Maps: places that repeat, a page that nothing in a text can break out of, and the page itself in a browser."""

import base64
import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemlet.errors import InputError, MissingExtra
from gemlet.layout import Chart, grouping_of, html_of, positions_of, write_picture
from gemlet.layout.chart import MOST_GROUPS
from gemlet.layout.colours import colours

HOSTILE = [
    "</script><script>document.title='broken'</script>",
    "<!--<script>",
    "\"'`&amp;&lt;",
    "nul \x00 escape \x1b[31m delete \x7f next line \x85",
    "override \u202eesrever and isolate \u2066x, mark \u200f, separators \u2028 \u2029",
    "half a pair \ud800 end",
    "${alert(1)} \\u003c/script\\u003e \\",
    "<img src=x onerror=\"document.title='broken'\">",
    "",
    "long " * 1000,
]


def chart(texts: list[str], groups: list[str] | None = None, title: str = "A map") -> Chart:
    turn = np.linspace(0, 6, len(texts))
    points = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32) / 2 + 0.5
    groupings = [] if groups is None else [grouping_of("kind", groups)]
    return Chart(title, points, texts, [f"rows.csv:{row + 2}" for row in range(len(texts))], groupings)


def data_of(page: str) -> dict[str, Any]:
    value = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert isinstance(value, dict)
    return value


def numbers(base: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(base), "<u2")


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 0.2, (15, 12)) + 2 * np.eye(12)[at] for at in (0, 1, 2)]).astype(np.float32)


def test_places_fill_a_square_and_repeat(rows: np.ndarray) -> None:
    placed = positions_of(rows)
    assert placed.shape == (45, 2)
    assert placed.dtype == np.float32
    assert placed.min() == 0
    assert placed.max() == 1
    assert (placed == positions_of(rows)).all()
    assert positions_of(10 * rows) == pytest.approx(placed, abs=1e-5)  # length means nothing


def test_umap_keeps_groups_together_without_a_warning_and_repeats(rows: np.ndarray) -> None:
    pytest.importorskip("umap", exc_type=ImportError)
    placed = positions_of(rows, "umap", seed=3)
    middles = placed.reshape(3, 15, 2).mean(axis=1)
    nearest = np.linalg.norm(placed[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == np.repeat([0, 1, 2], 15)).all()
    assert (placed == positions_of(rows, "umap", seed=3)).all()
    assert positions_of(rows[[0, 20, 40]], "umap").shape == (3, 2)


def test_umap_needs_its_extra(monkeypatch: pytest.MonkeyPatch, rows: np.ndarray) -> None:
    monkeypatch.setitem(sys.modules, "umap.umap_", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[map\]"):
        positions_of(rows, "umap")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((1, 4)), "needs 2 rows"),
        (np.ones(4), "needs 2 rows"),
        (np.ones((0, 4)), "needs 2 rows"),
        (np.ones((10, 4)), "all 10 rows are the same"),
        (np.array([[1, np.nan], [1, 2]]), "vector 0 has NaN"),
    ],
)
def test_a_mistake_is_named(rows: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        positions_of(rows)


def test_another_method_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(InputError, match="method is 'tsne'; available: pca, umap"):
        positions_of(rows, "tsne")


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_numbered_from_the_largest_and_noise_is_last() -> None:
    one = grouping_of("cluster", ["noise", "b", "noise", "a", "b", "noise"], unnamed="noise")
    assert one.names == ["b", "a", "noise"]
    assert one.of == [2, 0, 2, 1, 0, 2]
    assert one.unnamed == 2
    assert one.colours[2] == "#8f969c"


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(InputError, match="'id' has 501 different values"):
        grouping_of("id", [str(row) for row in range(MOST_GROUPS + 1)])


@pytest.mark.parametrize("count", [1, 2, 8, 9, 60])
def test_colours_are_colours_and_differ(count: int) -> None:
    made = colours(count)
    assert all(re.fullmatch("#[0-9a-f]{6}", one) for one in made)
    assert len(set(made)) == count


# --- the page as text ------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Counts the elements of a page, and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loaded: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "href", "action", "data"}]


def test_no_text_breaks_out_of_the_page() -> None:
    tame, wild = Elements(), Elements()
    tame.feed(html_of(chart(["tame"] * len(HOSTILE), ["x"] * len(HOSTILE))))
    page = html_of(chart(HOSTILE, HOSTILE, title=HOSTILE[0] + HOSTILE[4]))
    wild.feed(page)
    assert wild.names == tame.names
    assert wild.loaded == []
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", page)
    assert page.encode()


def test_the_page_holds_each_text_as_it_was() -> None:
    data = data_of(html_of(chart(HOSTILE, HOSTILE)))
    assert data["texts"][:5] == HOSTILE[:5]
    assert data["texts"][5] == "half a pair \ufffd end"
    assert data["texts"][6:9] == HOSTILE[6:9]
    assert len(data["texts"][9]) == 2000
    assert data["places"][1] == "rows.csv:3"
    names = data["groupings"][0]["names"]
    assert names[numbers(data["groupings"][0]["of"])[0]] == HOSTILE[0]


def test_positions_are_kept_to_a_step_and_y_goes_down() -> None:
    made = chart(["a", "b", "c", "d", "e"])
    data = data_of(html_of(made))
    placed = np.stack([numbers(data["x"]), numbers(data["y"])], axis=1) / data["span"]
    assert placed[:, 0] == pytest.approx(made.points[:, 0], abs=1e-5)
    assert placed[:, 1] == pytest.approx(made.points[:, 1].max() - made.points[:, 1], abs=2e-5)


def test_the_policy_allows_this_script_and_no_address() -> None:
    page = html_of(chart(["a", "b"]))
    policy = re.search('Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"https?://", page)


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_pictures_are_drawn_whatever_the_names_are_and_repeat(kind: str, begins: bytes) -> None:
    made = chart(HOSTILE, ["_a $x^$", "日本", *HOSTILE[2:]], title="$\\frac{$ <b>")
    first, second = BytesIO(), BytesIO()
    write_picture(made, first, kind)
    write_picture(made, second, kind)
    assert first.getvalue().startswith(begins)
    assert first.getvalue() == second.getvalue()
    if kind == ".svg":
        assert "日本" in first.getvalue().decode()


def test_a_picture_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[map\]"):
        write_picture(chart(["a", "b"]), BytesIO(), ".png")


# --- the page in a browser -------------------------------------------------------------------------------------------


class Shown:
    """A page that is open: what is where, and what it complained of."""

    def __init__(self, browser: Any, folder: Path, made: Chart, **options: Any) -> None:
        path = folder / "map.html"
        path.write_text(html_of(made), encoding="utf-8")
        self.page = browser.new_page(**{"viewport": {"width": 900, "height": 700}, **options})
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri(), timeout=120_000)

    def at(self, point: int) -> tuple[float, float]:
        x, y = self.page.evaluate(f"gemletMap.screenOf({point})")
        box = self.page.locator("#map").bounding_box()
        return box["x"] + x, box["y"] + y

    def colour(self, point: int) -> str:
        code = f"""(() => {{
            const map = document.getElementById('map'), [x, y] = gemletMap.screenOf({point});
            const r = map.width / map.clientWidth;
            return [...map.getContext('2d').getImageData(Math.round(x * r), Math.round(y * r), 1, 1).data].slice(0, 3);
        }})()"""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return "#" + "".join(f"{part:02x}" for part in self.page.evaluate(code))


TEXTS = ["the cat sleeps", "a dog barks", "cats and dogs", "the sea is blue", "rivers run", "a blue cat"]
KINDS = ["animal", "animal", "animal", "water", "water", "animal"]


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Shown]:
    made = Shown(browser, tmp_path, chart(TEXTS, KINDS))
    yield made
    assert made.complaints == []
    assert [url for url in made.asked if not url.startswith("file:")] == []
    made.page.close()


def test_hovering_shows_the_text_and_its_group(shown: Shown) -> None:
    for point in (0, 3):
        shown.page.mouse.move(*shown.at(point))
        assert shown.page.locator("#hint .said").text_content() == TEXTS[point]
        assert shown.page.locator("#hint .of").text_content() == KINDS[point]
    shown.page.mouse.move(5, 690)
    assert shown.page.locator("#hint").is_hidden()


def test_points_have_their_groups_colour(shown: Shown) -> None:
    animal, water = grouping_of("kind", KINDS).colours
    assert [shown.colour(point) for point in range(6)] == [animal, animal, animal, water, water, animal]


def test_the_search_counts_lists_and_highlights(shown: Shown) -> None:
    animal = grouping_of("kind", KINDS).colours[0]
    shown.page.fill("#search", "CAT")
    shown.page.locator("#found:not(:empty)").wait_for()
    assert shown.page.text_content("#found") == "3 of 6 found"
    assert shown.page.locator("#results li").all_text_contents() == [TEXTS[0], TEXTS[2], TEXTS[5]]
    assert [shown.colour(point) == animal for point in (0, 1, 2, 5)] == [True, False, True, True]
    shown.page.locator("#results button").nth(1).click()
    assert shown.page.text_content("#text") == TEXTS[2]
    shown.page.fill("#search", "blue cat")
    shown.page.press("#search", "Enter")
    assert shown.page.text_content("#text") == "a blue cat"
    shown.page.press("#search", "Escape")
    assert shown.page.text_content("#found") == ""
    assert shown.colour(1) == animal


def test_the_legend_hides_and_shows(shown: Shown) -> None:
    water = grouping_of("kind", KINDS).colours[1]
    entry = shown.page.locator("#groups button").nth(1)
    assert entry.text_content() == "water2"
    entry.click()
    shown.page.mouse.move(5, 690)
    assert entry.get_attribute("aria-pressed") == "false"
    assert shown.colour(3) != water
    shown.page.mouse.move(*shown.at(3))
    assert shown.page.locator("#hint").is_hidden()
    shown.page.click("#all")
    shown.page.mouse.move(5, 690)
    assert shown.colour(3) == water


def test_keys_go_from_text_to_text_and_say_it(shown: Shown) -> None:
    shown.page.focus("#map")
    seen = set()
    for key in ["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowDown", "ArrowDown", "ArrowRight"]:
        shown.page.keyboard.press(key)
        said = shown.page.text_content("#said")
        assert said.split(". ")[0] == shown.page.text_content("#text")
        seen.add(shown.page.text_content("#text"))
    assert len(seen) >= 3
    assert seen <= set(TEXTS)
    shown.page.keyboard.press("Escape")
    assert shown.page.locator("#card").is_hidden()
    before = shown.at(0)
    shown.page.keyboard.press("+")
    assert shown.at(0) != before
    shown.page.keyboard.press("0")
    assert shown.at(0) == pytest.approx(before)
    shown.page.keyboard.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "search"


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(shown: Shown) -> None:
    x, y = shown.at(4)
    far = shown.at(0)
    shown.page.mouse.move(x, y)
    shown.page.mouse.wheel(0, -300)
    shown.page.evaluate("new Promise((done) => requestAnimationFrame(done))")
    assert shown.at(4) == pytest.approx((x, y), abs=1)
    assert shown.at(0) != pytest.approx(far, abs=20)
    shown.page.mouse.down()
    shown.page.mouse.move(x - 60, y - 40)
    shown.page.mouse.up()
    assert shown.at(4) == pytest.approx((x - 60, y - 40), abs=1)
    assert shown.page.locator("#card").is_hidden()


def test_hostile_texts_are_shown_and_do_nothing(browser: Any, tmp_path: Path) -> None:
    wild = Shown(browser, tmp_path, chart(HOSTILE, HOSTILE, title=HOSTILE[0]))
    wild.page.mouse.move(*wild.at(0))
    assert wild.page.locator("#hint .said").text_content() == HOSTILE[0]
    wild.page.mouse.click(*wild.at(3))
    assert wild.page.text_content("#text") == "nul \ufffd escape \ufffd[31m delete \ufffd next line \ufffd"
    assert wild.page.text_content("h1") == HOSTILE[0]
    assert wild.page.title() == HOSTILE[0]
    assert wild.page.locator("img").count() == 0
    assert wild.complaints == []
    wild.page.close()


def test_a_phone_in_the_dark(browser: Any, tmp_path: Path) -> None:
    size = {"width": 360, "height": 740}
    phone = Shown(browser, tmp_path, chart(TEXTS, KINDS), viewport=size, has_touch=True, color_scheme="dark")
    assert phone.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert phone.page.locator("#map").bounding_box()["height"] > 300
    phone.page.touchscreen.tap(*phone.at(2))
    assert phone.page.text_content("#text") == TEXTS[2]
    phone.page.click("#theme")
    assert phone.page.evaluate("document.documentElement.dataset.theme") == "light"
    phone.page.close()


def test_fifty_thousand_points(browser: Any, tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((50_000, 2)).astype(np.float32)
    groups = [f"group {row % 12}" for row in range(50_000)]
    texts = [f"text number {row} of many" for row in range(50_000)]
    many = Shown(browser, tmp_path, Chart("Many", points, texts, (), [grouping_of("kind", groups)]))
    many.page.mouse.move(*many.at(31_415))
    assert many.page.locator("#hint .said").text_content() == texts[31_415]
    many.page.fill("#search", "number 4999")
    many.page.locator("#found:not(:empty)").wait_for()
    assert many.page.text_content("#found") == "15 of 50,000 found"
    assert many.complaints == []
    many.page.close()
