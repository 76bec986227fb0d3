"""The page for people: files of the wheel, and a policy that lets nothing else in.   (page/ → routes)"""

from importlib.resources import files
from string import Template

from gemlet.layout import map_parts
from gemlet.server.endpoint import Answer, Call, Route

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def pages() -> list[Route]:
    """The page at / and its parts below /page/, for app()."""
    body, style, script = map_parts()
    folder = files("gemlet.server") / "page"
    parts = {
        item.name: item.read_text(encoding="utf-8")
        for item in folder.iterdir()
        if item.name[item.name.rfind(".") :] in _KINDS
    }
    page = Template((folder / "index.html").read_text(encoding="utf-8")).substitute(MAP=body)
    parts |= {"map.css": style, "map.js": script}
    return [_route("/", page, "text/html")] + [
        _route(f"/page/{name}", text, _KINDS[name[name.rfind(".") :]]) for name, text in parts.items()
    ]


def _route(path: str, text: str, media: str) -> Route:
    answer = Answer(text.encode(), f"{media}; charset=utf-8")

    async def page(call: Call, _: None) -> Answer:
        call.headers["content-security-policy"] = POLICY
        return answer

    return Route("GET", path, page, None, None, "A part of the page.", open=True)
