"""The comparison as a page of Markdown, and its place in the README.   (published.json → section)

    python bench/table.py           print the section made from bench/published.json
    python bench/table.py --write   put it between the README's two markers

While nothing is published the section is empty.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).resolve().parent / "published.json"
README = PUBLISHED.parent.parent / "README.md"
BEGIN, END = "<!-- comparison: python bench/table.py --write -->\n", "<!-- end of comparison -->\n"
RIGHT = {"mean": 0.99, "min": 0.95}  # 8-bit weights stay above both; 4-bit ones, or another window, do not

TIMES = {
    "query": "one query, {tokens} tokens",
    "text-256": "one text, 256 tokens",
    "text-512": "one text, 512 tokens",
    "text-2048": "one text, 2,048 tokens",
    "documents": "{texts} documents of 256 tokens",
    "mixed": "{texts} texts of 8 to 1,024 tokens, {tokens:,} in all",
    "cold": "cold start: exec to first vector",
}
PEAKS = {
    "query": "peak memory: one query",
    "documents": "peak memory: the documents of 256 tokens",
    "text-2048": "peak memory: one text, 2,048 tokens",
}

Result = dict[str, Any]


def section(result: Result) -> str:
    """Return everything between the markers: how it was measured, the table, who was measured."""
    lines = [f"| | {' | '.join(result['names'])} |", "|---" * (len(result["names"]) + 1) + "|"]
    for name, title in TIMES.items():
        lines += figures(result, name, title, "seconds")
    for name, title in PEAKS.items():
        lines += figures(result, name, title, "peak_mb")
    lines += cosines(result)
    page = ["", "## Beside other runtimes", "", introduction(result), "", *lines, "", *versions(result), ""]
    return "\n".join(page) + "\n"


def introduction(result: Result) -> str:
    """Return how to read the table."""
    machine = result["machine"]
    return (
        f"Measured {result['date']} on {machine['cores']} cores of {machine['cpu']} with {result['threads']} threads: "
        "Python `str` to float32 unit vectors, every figure of fresh processes that take turns. A cell is the median "
        f"of its rounds; in brackets its ratio to {result['reference']} round by round: the median, the least and the "
        "most. Less is better, but for the cosine to sentence-transformers in float32. " + doubt(result)
    )


def doubt(result: Result) -> str:
    """Return how far rounds of one figure were apart, and how much else ran."""
    rounds = [[row for row in rows if row] for case in result["cases"].values() for rows in case["rows"].values()]
    times = [[row["seconds"] for row in rows] for rows in rounds if rows]
    apart = max((max(some) / min(some) - 1 for some in times), default=0.0)
    foreign = max((row.get("foreign", 0.0) for rows in rounds for row in rows), default=0.0)
    return (
        f"There were {min(map(len, times), default=0)} to {max(map(len, times), default=0)} rounds; times of one cell "
        f"are at most {apart:.0%} apart, and other work kept at most {foreign:.2f} cores busy."
    )


def figures(result: Result, name: str, title: str, key: str) -> list[str]:
    """Return a case's line, or none if it was not run."""
    if (case := result["cases"].get(name)) is None:
        return []
    columns = {who: [row and row[key] for row in rows] for who, rows in case["rows"].items()}
    cells = [cell(columns[who], columns.get(result["reference"], []), key) for who in result["names"]]
    return [f"| {title.format(**case)} | {' | '.join(cells)} |"]


def cell(values: list[float | None], reference: list[float | None], key: str) -> str:
    """Return a median with its ratios; None stands for a round that failed."""
    known = [value for value in values if value is not None]
    if not known:
        return "failed"
    text = (megabytes if key == "peak_mb" else duration)(statistics.median(known))
    ratios = [ours / theirs for ours, theirs in zip(values, reference, strict=False) if ours and theirs]
    if not ratios or values is reference:
        return text
    return f"{text} ({statistics.median(ratios):.2f}, {min(ratios):.2f}–{max(ratios):.2f})"


def cosines(result: Result) -> list[str]:
    """Return the line of the cosines, in which a runtime that is not right is marked."""
    if not result.get("cosine", {}).get("found"):
        return []
    found, cells = result["cosine"]["found"], []
    for who in result["names"]:
        cosine = found.get(who)
        mark = " **not right**" if cosine and any(cosine[key] < least for key, least in RIGHT.items()) else ""
        cells.append(f"{cosine['mean']:.5f}, {cosine['min']:.5f}{mark}" if cosine else "failed")
    title = "cosine, mean and least, of {texts} texts in {languages} languages".format(**result["cosine"])
    return [f"| {title} | {' | '.join(cells)} |"]


def versions(result: Result) -> list[str]:
    """Return one line for each runtime."""
    names: dict[str, str] = {}
    for case in result["cases"].values():
        for who, rows in case["rows"].items():
            for row in rows:
                if row and "version" in row:
                    names[who] = row["version"]
    return [f"- {who}: {name}" for who, name in names.items()]


def duration(seconds: float) -> str:
    """Three digits: 12.3 ms, 1.23 s."""
    return f"{digits(seconds * 1e3)} ms" if seconds < 1 else f"{digits(seconds)} s"


def megabytes(value: float) -> str:
    """Whole megabytes."""
    return f"{value:,.0f} MB"


def digits(value: float) -> str:
    """Three digits, more before the point if need be."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def published() -> str:
    """Return the published section; empty while nothing is published."""
    return section(json.loads(PUBLISHED.read_text(encoding="utf-8"))) if PUBLISHED.exists() else ""


def split(readme: str) -> tuple[str, str, str]:
    """Return the README before, between and after the markers, which stay with the outer parts."""
    head, rest = readme.split(BEGIN)
    middle, tail = rest.split(END)
    return head + BEGIN, middle, END + tail


def main() -> None:
    """Print the section, or write it."""
    if "--write" not in sys.argv:
        print(published(), end="")
        return
    head, _, tail = split(README.read_text(encoding="utf-8"))
    README.write_text(head + published() + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
