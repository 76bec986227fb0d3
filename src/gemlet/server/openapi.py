"""The dialects' structs → an OpenAPI 3.1 document: what is served is what it tells."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gemlet import __version__
from gemlet.server.endpoint import REST, Dialect, Route
from gemlet.server.problems import Kind
from gemlet.server.service import PLAIN, SYNONYMS, Service

_ALWAYS: tuple[Kind, ...] = ("forbidden", "overloaded", "timeout", "internal")
_WITH_BODY: tuple[Kind, ...] = ("malformed", "invalid", "too_large", "slow_body")

_TOLD: dict[Kind, str] = {
    "malformed": "the body is no JSON",
    "invalid": "a field is wrong",
    "empty": "there is no text",
    "too_long": "a text is too long and may not be cut",
    "too_many": "too many texts or tokens",
    "too_large": "the body is too large",
    "unknown_model": "the model is not served here",
    "not_found": "there is no such index, or no such file in it",
    "unauthorized": "a key is needed",
    "forbidden": "the Host or Origin is not let in",
    "overloaded": "the queue is full; Retry-After says when to ask again",
    "timeout": "it took too long",
    "slow_body": "the body did not come in time",
    "unavailable": "the server is shutting down, or the index cannot be read",
    "internal": "a bug, or damaged weights",
}


def document(service: Service, dialects: Sequence[Dialect]) -> dict[str, Any]:
    """Return the document, as JSON's types."""
    listed = [(route, dialect) for dialect in dialects for route in dialect.routes]
    types = [part for route, _ in listed for part in (route.takes, route.gives) if part is not None]
    types += [dialect.shape for dialect in dialects]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {str(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    _narrow(components, service)
    paths: dict[str, dict[str, Any]] = {}
    for route, dialect in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, dialect, by_type, service)
    told: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"gemlet serves {service.name}", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }
    if service.settings.keys:
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return told


def _narrow(components: dict[str, Any], service: Service) -> None:
    """Say what the structs' types cannot: which numbers and names this model has, what a list may hold."""
    token = {"type": "integer", "minimum": 0, "maximum": service.tokenizer.vocab_size - 1}
    components["Tokens"] = {"type": "array", "minItems": 1, "prefixItems": [{"const": service.tokenizer.bos}]}
    components["Tokens"]["items"] = components["TokenId"] = token
    dims, tasks = list(service.dims), [*service.embedder.prompts, *SYNONYMS, *PLAIN]
    known: dict[str, Any] = {name: {"enum": dims} for name in ("dimensions", "output_dimension")}
    known |= {name: {"enum": tasks} for name in ("input_type", "task", "prompt_name")}
    for schema in components.values():
        properties = schema.get("properties", {})
        for name, told in properties.items():
            if "x-schema" in told:
                properties[name] = told["x-schema"]
            elif name in known:
                optional = name not in schema.get("required", ())
                properties[name] = {"anyOf": [known[name], {"type": "null"}]} if optional else known[name]


def _operation(route: Route, dialect: Dialect, by_type: dict[str, Any], service: Service) -> dict[str, Any]:
    words = re.sub(r"\W+", "_", route.path).strip("_") or "root"
    success: dict[str, Any] = {"description": "done"}
    if route.gives is not None:
        success["content"] = {"application/json": {"schema": by_type[str(route.gives)]}}
    if route.streams:
        text = {"type": "string"}
        event = {"type": "object", "properties": {"event": text, "data": text}, "required": ["event", "data"]}
        success["content"]["text/event-stream"] = {"schema": event}
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{words}",
        "summary": route.told,
        "tags": [dialect.name],
        "responses": {"200": success} | _refusals(route, dialect, by_type, service),
    }
    if REST in route.path:
        name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        operation["parameters"] = [name]
    if route.takes is not None:
        content = {"application/json": {"schema": by_type[str(route.takes)]}}
        operation["requestBody"] = {"required": True, "content": content}
    if service.settings.keys and not route.open:
        operation["security"] = [{"key": []}]
    return operation


def _refusals(route: Route, dialect: Dialect, by_type: dict[str, Any], service: Service) -> dict[str, Any]:
    kinds = [*route.refuses, *_ALWAYS, *(_WITH_BODY if route.takes is not None else ("too_large",))]
    if service.settings.keys and not route.open:
        kinds.append("unauthorized")
    reasons: dict[str, list[str]] = {}
    for kind in kinds:
        reasons.setdefault(str(dialect.status(kind)), []).append(_TOLD[kind])
    content = {"application/json": {"schema": by_type[str(dialect.shape)]}}
    found: dict[str, Any] = {}
    for status, told in sorted(reasons.items()):
        found[status] = {"description": "; ".join(told)}
        if not (status == "401" and dialect.name == "tei"):
            found[status]["content"] = content
    return found
