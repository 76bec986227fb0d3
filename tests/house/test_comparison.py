"""The README's comparison is what was published; its texts and ratios are what they say."""

import pytest

import table
from cases import make_cases, make_cosine_case
from gemlet import Embedder
from texts import QUERY, Writer, own_sentences


def row(seconds: float, peak: float = 100.0) -> dict[str, object]:
    return {"seconds": seconds, "peak_mb": peak, "version": "of today", "foreign": 0.25}


RESULT = {
    "date": "2026-11-23",
    "machine": {"cpu": "a processor", "cores": 2},
    "threads": 2,
    "reference": "openvino",
    "names": ["gemlet", "openvino", "broken"],
    "cases": {
        "documents": {
            "texts": 256,
            "tokens": 65536,
            "rows": {
                "gemlet": [row(10), row(30), row(20)],
                "openvino": [row(20), row(20), row(40)],
                "broken": [None, None, None],
            },
        },
        "cold": {
            "texts": 1,
            "tokens": 18,
            "rows": {"gemlet": [{"seconds": 0.5}], "openvino": [None], "broken": [None]},
        },
    },
    "cosine": {
        "texts": 219,
        "languages": 42,
        "found": {"gemlet": {"mean": 1, "min": 0.9999}, "openvino": {"mean": 0.999, "min": 0.5}},
    },
}


def test_the_readmes_comparison_is_the_published_one() -> None:
    """Also while nothing is published: then there is none."""
    _, middle, _ = table.split(table.README.read_text(encoding="utf-8"))
    assert middle == table.published()
    assert table.PUBLISHED.exists() or middle == ""


def test_ratios_are_taken_round_by_round() -> None:
    section = table.section(RESULT)
    assert "| 256 documents of 256 tokens | 20.0 s (0.50, 0.50–1.50) | 20.0 s | failed |" in section
    assert "| cold start: exec to first vector | 500 ms | failed | failed |" in section


def test_the_noise_is_said() -> None:
    assert "were 1 to 3 rounds; times of one cell are at most 200% apart" in table.doubt(RESULT)
    assert "other work kept at most 0.25 cores busy" in table.doubt(RESULT)


def test_a_runtime_with_other_vectors_is_marked() -> None:
    line = next(line for line in table.section(RESULT).splitlines() if line.startswith("| cosine"))
    assert line.endswith("| 1.00000, 0.99990 | 0.99900, 0.50000 **not right** | failed |")


@pytest.mark.parametrize("tokens", [8, 256, 2048])
def test_a_text_has_exactly_so_many_tokens(tiny: Embedder, tokens: int) -> None:
    writer = Writer(own_sentences(), lambda text: int(tiny.count_tokens(text)[0]), seed=1)
    assert tiny.count_tokens([writer.write(tokens) for _ in range(6)]).tolist() == [tokens] * 6


def test_the_cases_have_the_sizes_that_the_table_names(embedder: Embedder) -> None:
    def count(text: str) -> int:
        return int(embedder.count_tokens(text)[0])

    cases = {case.name: case for case in make_cases(own_sentences(), count, quick=False, rounds=None)}
    assert set(table.TIMES) == set(cases)
    assert count(QUERY) == 18
    assert embedder.count_tokens(cases["documents"].texts).tolist() == [256] * 256
    lengths = embedder.count_tokens(cases["mixed"].texts)
    assert (len(lengths), lengths.sum()) == (512, cases["mixed"].tokens)
    assert 8 <= lengths.min() < 12
    assert 900 < lengths.max() <= 1024
    cosine, languages = make_cosine_case(own_sentences(), count, quick=False)
    assert len(cosine.texts) >= 200
    assert languages >= 20
    assert embedder.count_tokens(cosine.texts).max() == 2048
