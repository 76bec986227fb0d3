"""One server that every embedding client already speaks to.   (HTTP → vectors; extra `server`)

settings.py  what it may be told
problems.py  what can go wrong with a request
cache.py     vectors of texts that came before
turns.py     whose turn it is: a fair queue
metrics.py   what is counted and logged
batcher.py   all requests' sequences → packed batches, each sequence once
service.py   the common request: texts, a task, a length → vectors
body.py      a request's body, within limits
endpoint.py  one route
dialects/    how OpenAI's, Ollama's, Cohere's and Hugging Face's clients ask: a file each
openapi.py   what is served, as a document
origins.py   which web pages may ask: CORS
guard.py     who may ask, from where
indexes/     what gemlet itself offers: search, ask, map, classify, cluster, compare
webpage.py   the page for people; its parts are in page/
app.py       all of it as an ASGI application
run.py       the application on a socket
"""

from gemlet.errors import MissingExtra

try:
    import httptools as _httptools  # noqa: F401
    import msgspec as _msgspec  # noqa: F401
    import prometheus_client as _prometheus_client  # noqa: F401
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError:
    raise MissingExtra("server", "the server") from None

from gemlet.server.app import App, app
from gemlet.server.dialects import DIALECTS
from gemlet.server.endpoint import Answer, Call, Dialect, Route
from gemlet.server.indexes.every import look
from gemlet.server.indexes.routes import OwnRoutes
from gemlet.server.problems import Problem
from gemlet.server.run import check_address, run
from gemlet.server.settings import Settings
from gemlet.server.webpage import pages

__all__ = [
    "DIALECTS",
    "Answer",
    "App",
    "Call",
    "Dialect",
    "OwnRoutes",
    "Problem",
    "Route",
    "Settings",
    "app",
    "check_address",
    "look",
    "pages",
    "run",
]
