"""Passages by the words of a query, in PostgreSQL, weighed as BM25 weighs them.   (query → SQL → passages)

PostgreSQL's full text search finds the passages; its ts_rank knows how often a word is in one, but not how rare the
word is: that is counted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemlet.store.store import LARGE
from gemlet.stores.pgserver import PgServer
from gemlet.stores.terms import K1, B, Term, rarity, terms_of

_RARE = 10_000  # passages that have a rarer word, at the most: as in the embedded index

# ts_rank of one word that is there n times is the sum of 1 / i² for i to n, times 0.1 / 1.64493: once, 0.0607927; at
# most 0.1. BM25's share of a word grows from 1 to 1 + K1 in much the same way.
_ONCE = 0.0607927
_MORE = K1 / (0.1 / _ONCE - 1)


@dataclass(frozen=True)
class Weighed:
    """A term, and what it weighs where it is."""

    term: Term
    weight: float


def by_words(
    server: PgServer, query: str, k: int, where: tuple[str, dict[str, Any]], passages: int, average: float
) -> list[tuple[int, float]]:
    """The k best passages: (id, score), best first.

    where     condition over files f, and its values
    passages  how many there are; average: words of one
    """
    sought, needed = _weighed(server, query, passages)
    if not needed or k < 1:
        return []
    condition, values = where
    schema, shares = server.address.name, []
    for number, one in enumerate(sought):
        values |= {f"term{number}": one.term.tsquery, f"weight{number}": one.weight}
        shares.append((_SHARE if len(one.term.parts) == 1 else _SHARE_OF_PHRASE).format(number=number))
    values |= {"any": " | ".join(f"({term.tsquery})" for term in needed), "average": average, "k": k}
    sql = (
        f"SELECT p.id, ({' + '.join(shares)})"
        f" * {K1 + 1} / (1 + {K1} * ({1 - B} + {B} * p.length / %(average)s)) AS score"
        f" FROM {schema}.passages p JOIN {schema}.files f ON f.id = p.file_id"
        f" WHERE p.words @@ %(any)s::tsquery AND ({condition}) ORDER BY score DESC, p.id LIMIT %(k)s"
    )
    return [(int(row[0]), float(row[1])) for row in server.rows(sql, values)]


_IF = "CASE WHEN p.words @@ %(term{number})s::tsquery THEN "
_RANK = "ts_rank(p.words, %(term{number})s::tsquery)"
_WEIGHT = "%(weight{number})s::float8 ELSE 0 END"
_SHARE = f"{_IF}(1 + {_MORE} * ({_RANK} / {_ONCE} - 1)) * {_WEIGHT}"
_SHARE_OF_PHRASE = f"{_IF}{_WEIGHT}"


def _weighed(server: PgServer, query: str, passages: int) -> tuple[list[Weighed], list[Term]]:
    """(all terms that count, those of which a passage needs one): in a large store the rarer ones, as in the index."""
    terms, forms = terms_of(query)
    every = list(dict.fromkeys([*terms, *forms]))
    if not every:
        return [], []
    small = passages < LARGE or len(terms) < 2
    most = passages if small else min(passages // 20, _RARE)
    counts = dict(zip(every, _counts(server, every, most + 1), strict=True))
    sought = [Weighed(term, rarity(counts[term], passages)) for term in every if counts[term]]
    if small:
        return sought, [one.term for one in sought]
    rare = [term for term in every if 0 < counts[term] <= most]
    if not rare and (found := [term for term in terms if counts[term]]):
        least = min(found, key=lambda term: counts[term])
        rare = [] if len(found) < len(terms) and counts[least] > passages // 4 else [least]
    return sought, rare


def _counts(server: PgServer, terms: Sequence[Term], most: int) -> list[int]:
    """How many passages have each; of one that more than `most` have, what PostgreSQL's statistics tell."""
    one = f"(SELECT count(*) FROM (SELECT 1 FROM {server.address.name}.passages WHERE words @@ %s::tsquery LIMIT %s) x)"
    values = [value for term in terms for value in (term.tsquery, most)]
    found = server.rows(f"SELECT {', '.join([one] * len(terms))}", values)[0]
    return [
        int(count) if count < most else _estimate(server, term, most) for term, count in zip(terms, found, strict=True)
    ]


def _estimate(server: PgServer, term: Term, least: int) -> int:
    sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {server.address.name}.passages WHERE words @@ %s::tsquery"
    return max(least, int(server.rows(sql, [term.tsquery])[0][0][0]["Plan"]["Plan Rows"]))
