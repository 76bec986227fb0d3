"""A map → one HTML file that fetches nothing.   (chart → HTML)

The map itself is page/map.html, map.css and map.js, which any page can hold; page.html, page.css and page.js make one
of it alone. The data stands in the page as JSON in which nothing can end the element or turn the direction of the
source: `<`, `>`, `&` and all control and format characters are escaped. The page's policy allows exactly this script
and this style, by their hashes, and no address at all.
"""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from gemlet.layout.chart import Chart
from gemlet.texts import as_texts

SPAN = 65_535
"""Steps of a position on the longer axis: 2 bytes a number."""

LONGEST = 2_000
"""Characters of a text that the page keeps: more than fit the screen."""

_UNSAFE = re.compile(r"[<>&\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def html_of(chart: Chart) -> str:
    """The HTML of a map, whole: it needs no other file and no network."""
    body, map_style, map_script = map_parts()
    template, own_style, own_script = (_part(f"page.{kind}") for kind in ("html", "css", "js"))
    style, script = map_style + own_style, map_script + own_script
    own = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    title = html.escape(_UNSAFE.sub(_visible, as_texts([chart.title])[0][0]))
    return Template(template).substitute(
        POLICY=policy, TITLE=title, MAP=body, STYLE=style, SCRIPT=script, DATA=_as_json(data_of(chart))
    )


def map_parts() -> tuple[str, str, str]:
    """(HTML, CSS, JavaScript) of a map, for a page of one's own: `drawMap(data)` draws what data_of() gives."""
    return _part("map.html"), _part("map.css"), _part("map.js")


def _part(name: str) -> str:
    return (files("gemlet.layout") / "page" / name).read_text(encoding="utf-8")


def data_of(chart: Chart, longest: int = LONGEST) -> dict[str, Any]:
    """What the script reads, ready for JSON; `longest` is how many characters of a text it gets."""
    steps = np.rint(np.clip(chart.points, 0, 1) * SPAN)
    return {
        "span": SPAN,
        "x": _packed(steps[:, 0]),
        "y": _packed(steps[:, 1].max() - steps[:, 1]),  # a screen's y goes down
        "texts": [_cut(text, longest) for text in as_texts(chart.texts)[0]],
        "places": as_texts(chart.places)[0],
        "groupings": [
            {
                "name": as_texts([one.name])[0][0],
                "names": as_texts(one.names)[0],
                "colours": one.colours,
                "of": _packed(one.of),
                "unnamed": one.unnamed,
                "plain": one.plain,
            }
            for one in chart.shown
        ],
    }


def _packed(values: Any) -> str:
    """Whole numbers up to 65,535 as base64 of 2 bytes each, the low one first."""
    return base64.b64encode(np.asarray(values, "<u2").tobytes()).decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _as_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _visible(found: re.Match[str]) -> str:
    """A character of a title: what could steer a display is shown as what it is not."""
    return found[0] if found[0] in "<>&" else " "


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
