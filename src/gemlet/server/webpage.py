"""The page for people: files of the wheel, and a policy that lets nothing else in.   (page/ → routes)"""

from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gemlet.layout import map_parts

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
    data = text.encode()

    async def answer(_: Request) -> Response:
        return Response(data, media_type=f"{media}; charset=utf-8", headers={"content-security-policy": POLICY})

    return Route(path, answer)
