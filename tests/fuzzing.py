"""Requests for a server: by its OpenAPI document, changed, and broken.   (seed, number → bytes)

Each is made of the seed and its number alone, so that one that does harm can be made again.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TEXTS = [
    "a heron",
    "ABC",
    "x" * 300,
    "\0",
    "\ud800",
    "🦘",
    "e\u0301 \u202e",
    " ",
    "<bos>",
    "'; DROP",
    "../../etc/passwd",
    "%00",
]
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, -0.0, 1e308, 5e-324, "", *TEXTS,
    [], {}, [[]], [[], 1], [None], [""], [1, "a"], [2, 10**9], [[2, 5], []], {"": 0}, {"a": {"a": []}}, "none",
    "query", "float", float("nan"), float("inf"),
]  # fmt: skip
CHUNKED = b"Transfer-Encoding: chunked"
MANY = 40  # items of a long list


@dataclass(frozen=True)
class Request:
    """`whole`: it is HTTP, and an answer must come; else the server may hang up."""

    sent: bytes
    method: str = "POST"
    route: str = ""
    whole: bool = True
    valid: bool = False


class Maker:
    """Makes requests over all routes of a document."""

    def __init__(self, document: dict[str, Any], seed: int = 0) -> None:
        self._components, self._seed = document["components"]["schemas"], seed
        self.routes = [
            (method.upper(), path.replace("{model}", "tiny"))
            for path, methods in document["paths"].items()
            for method in methods
        ]
        self._takes = {
            ("POST", path): methods["post"]["requestBody"]["content"]["application/json"]["schema"]
            for path, methods in document["paths"].items()
            if "requestBody" in methods.get("post", {})
        }

    def make(self, number: int) -> Request:
        """The request of a number."""
        chance = random.Random(f"{self._seed}:{number}")
        method, path = self.routes[number % len(self.routes)]
        schema = self._takes.get((method, path))
        kind = chance.random()
        if schema is None:
            if kind < 0.5:
                return Request(_http(method, path, b""), method, path, valid=True)
            return self._broken(chance, method, path, b"")
        value = self._value(chance, schema)
        if kind < 0.35:
            return Request(_http(method, path, _encoded(value)), method, path, valid=True)
        for _ in range(chance.choice((1, 1, 2, 5))):
            value = _changed(chance, value)
        body = _encoded(value)
        if kind < 0.65:
            return Request(_http(method, path, body), method, path)
        if kind < 0.8:
            return Request(_http(method, path, _bytes_changed(chance, body)), method, path)
        return self._broken(chance, method, path, body)

    def _value(self, chance: random.Random, schema: dict[str, Any], depth: int = 0) -> Any:
        """What a schema allows, or nearly."""
        if "$ref" in schema:
            return self._value(chance, self._components[schema["$ref"].rpartition("/")[2]], depth + 1)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._value(chance, chance.choice(schema[union]), depth + 1)
        for fixed in ("enum", "const"):
            if fixed in schema:
                return chance.choice(schema[fixed]) if fixed == "enum" else schema[fixed]
        kind = schema.get("type")
        made: dict[Any, Callable[[], Any]] = {
            "object": lambda: self._object(chance, schema, depth),
            "array": lambda: self._array(chance, schema, depth),
            "string": lambda: chance.choice(TEXTS)[: schema.get("maxLength", 999)],
            "integer": lambda: chance.randint(schema.get("minimum", 0), min(schema.get("maximum", 99), 2**31)),
            "number": lambda: chance.uniform(schema.get("minimum", 0), schema.get("maximum", 1)),
            "boolean": lambda: chance.random() < 0.5,
            "null": lambda: None,
        }
        return made[kind]() if kind in made else chance.choice(ODD)

    def _object(self, chance: random.Random, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self._value(chance, told, depth + 1)
            for name, told in schema.get("properties", {}).items()
            if name in required or (depth < 8 and chance.random() < 0.2)
        }

    def _array(self, chance: random.Random, schema: dict[str, Any], depth: int) -> list[Any]:
        first = [self._value(chance, told, depth + 1) for told in schema.get("prefixItems", ())]
        least = schema.get("minItems", 0)
        length = max(least, MANY if chance.random() < 0.02 else chance.randint(0, 4)) - len(first)
        length = min(length, schema.get("maxItems", MANY))
        items = schema.get("items")
        return first + [self._value(chance, items or {}, depth + 1) for _ in range(length)]

    def _broken(self, chance: random.Random, method: str, path: str, body: bytes) -> Request:
        """No HTTP, or hardly."""
        if chance.random() < 0.5:
            sent = chance.choice([*_strange(chance, path, body).values()])()
            return Request(sent, sent.split(b" ", 1)[0].decode(), path)
        return Request(chance.choice([*_torn(chance, method, path, body).values()])(), method, path, whole=False)


Makers = dict[str, Callable[[], bytes]]


def _strange(chance: random.Random, path: str, body: bytes) -> Makers:
    """Requests that are HTTP, and nothing else right."""
    deep = chance.choice((100, 2000, 100_000))
    other = chance.choice(("PUT", "DELETE", "OPTIONS", "PATCH"))
    ending = chance.choice(("/", "/..", "%2e%2e/", "?" + "a" * 999, "%00", ";a"))
    chunk = body or b"x"
    long = chance.choice((10**8, 10**15))
    media = bytes(chance.choices(range(33, 127), k=30))
    return {
        "deep": lambda: _http("POST", path, b"[" * deep + b"]" * deep),
        "deeper": lambda: _http("POST", path, b'{"input":' * deep + b"1" + b"}" * deep),
        "utf8": lambda: _http("POST", path, b'{"input": "\xff\xfe\xc0\x80", "inputs": "\xed\xa0\x80"}'),
        "empty": lambda: _http("POST", path, chance.choice((b"", b" ", b"\xef\xbb\xbf{}", b"\0"))),
        "method": lambda: _http(other, path, body),
        "path": lambda: _http("GET", path + ending, b""),
        "chunked": lambda: _http("POST", path, b"%x\r\n%s\r\n0\r\n\r\n" % (len(chunk), chunk), CHUNKED),
        "length": lambda: _http("POST", path, b"", b"Connection: close\r\nContent-Length: %d" % long),
        "type": lambda: _http("POST", path, body, b"Content-Type: " + media),
    }


def _torn(chance: random.Random, method: str, path: str, body: bytes) -> Makers:
    """Bytes that are no request, or not the whole of one."""
    noise = chance.randbytes(chance.choice((1, 7, 100, 5000)))
    length = chance.choice((b"-1", b"1e3", b"0x9", b"", b"9" * 23, b"%d" % (len(body) + chance.randint(1, 99))))
    chunk = chance.choice((b"zz\r\n", b"-5\r\n", b"f" * 18 + b"\r\n", noise))
    header = chance.choice((b"\xff\xfe: a", b": a", b"a b: c", b"Host: a\r\nHost: b", b"Authorization: Bearer \xff"))
    version = chance.choice((b"HTTP/9.9", b"HTTP/1.1\0", b"", b"HTTP/1.0"))
    long = b"X-Long: " + b"a" * chance.choice((9_000, 70_000, 200_000))
    whole = _http(method, path, body)
    return {
        "length": lambda: _http("POST", path, body, b"Content-Length: " + length),
        "lengths": lambda: _http("POST", path, body, b"Content-Length: 3\r\nContent-Length: 5"),
        "both": lambda: _http("POST", path, body, b"Content-Length: 3\r\n" + CHUNKED),
        "chunks": lambda: _http("POST", path, chunk, CHUNKED),
        "head": lambda: _http("POST", path, body, long),
        "heads": lambda: _http("POST", path, body, b"\r\n".join(b"X-%d: a" % i for i in range(5000))),
        "noise": lambda: noise,
        "bytes": lambda: _bytes_changed(chance, whole),
        "line": lambda: b"%s %s %s\r\n\r\n" % (noise[:7], path.encode(), version),
        "header": lambda: _http("POST", path, body, header),
        "stop": lambda: whole[: chance.randint(1, 60)],
        "two": lambda: whole * 2,
        "upgrade": lambda: _http("GET", path, b"", b"Upgrade: websocket\r\nConnection: Upgrade"),
    }


def _http(method: str, path: str, body: bytes, header: bytes = b"") -> bytes:
    """A request; its length goes without saying where `header` says none."""
    names = header.lower()
    own = b"" if b"length" in names or b"chunked" in names else b"Content-Length: %d\r\n" % len(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + own + (header + b"\r\n" if header else b"")
    return head + b"\r\n" + body


def _encoded(value: Any) -> bytes:
    """As JSON; lone surrogates are escaped."""
    return json.dumps(value).encode()


def _changed(chance: random.Random, value: Any) -> Any:
    """The value with something in it replaced, left out, doubled or put deeper."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice([*value])
        rest = {key: one for key, one in value.items() if key != name}
        if chance.random() < 0.15:
            return rest
        if chance.random() < 0.15:
            return {**value, chance.choice(TEXTS): chance.choice(ODD)}
        return {**rest, name: _changed(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.6:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(chance, value[at]), *value[at + chance.randint(0, 1) :]]
    return chance.choice([*ODD, [value], {"a": value}, [value] * 3])


def _bytes_changed(chance: random.Random, sent: bytes) -> bytes:
    """Some bytes lost, doubled or changed."""
    changed = bytearray(sent)
    for _ in range(chance.choice((1, 1, 3, 20))):
        at = chance.randrange(len(changed) + 1)
        changed[at : at + chance.choice((0, 1, 1, 9))] = chance.choice(
            (b"", chance.randbytes(1), b'"', b"\\u", b"\r\n", b"{")
        )
    return bytes(changed)
