"""The tables of docs/scaling.md are what bench/scaling.py prints from what is published."""

from pathlib import Path

import scaling

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def test_the_pages_tables_are_the_programs() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rate = scaling.rate_of_a_core()
    for name, lines in (("vectors", scaling.vectors()), ("hours", scaling.hours(rate, 256, 0.04))):
        between = page.split(f"<!-- {name} -->\n")[1].split("<!-- end -->")[0].strip().splitlines()
        assert [line for line in between if line.startswith("|")] == lines
    assert f"{rate:,.0f} tokens/s a core, 256 tokens a document, 0.04 dollars a core-hour" in page
