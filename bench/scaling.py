"""From a laptop to a billion documents, as tables of Markdown: what is measured, and what is computed from it.

    python bench/scaling.py                                          for docs/scaling.md
    python bench/scaling.py --rate 900 --tokens 180 --price 0.03     with your own figures

The rate is measured: that of README's comparison (bench/published.json, `make compare`), its case of 256 documents of
256 tokens, divided by the threads. All else is computed: bytes of vectors are arithmetic, hours are tokens by rate, and
many workers are taken to be as fast as each is alone, since they share nothing but the file of weights.
"""

import argparse
import json
import statistics
from pathlib import Path

from gemlet.vectors import MATRYOSHKA_DIMS

PUBLISHED = Path(__file__).resolve().parent / "published.json"
BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 1 / 8}
DOCUMENTS = (10_000, 1_000_000, 100_000_000, 1_000_000_000)
MACHINES = ((2, "a laptop's 2 cores"), (16, "16 cores"), (64, "a server's 64 cores"), (1024, "16 such servers"))


def rate_of_a_core() -> float:
    """Tokens per second and thread, as published."""
    result = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    case = result["cases"]["documents"]
    seconds = statistics.median(row["seconds"] for row in case["rows"]["gemlet"])
    return float(case["tokens"] / seconds / result["threads"])


def vectors() -> list[str]:
    """Bytes of one vector, and of a billion."""
    lines = [f"| numbers | {' | '.join(BYTES)} | {' | '.join(f'10⁹ in {name}' for name in BYTES)} |"]
    lines.append("|---" * (1 + 2 * len(BYTES)) + "|")
    for dim in MATRYOSHKA_DIMS:
        sizes = [dim * size for size in BYTES.values()]
        one = " | ".join(f"{size:,.0f}" for size in sizes)
        lines.append(f"| {dim} | {one} | {' | '.join(size_of(size * 1e9) for size in sizes)} |")
    return lines


def hours(rate: float, tokens: int, price: float) -> list[str]:
    """Time by machine, and its cost."""
    lines = [f"| documents | tokens | {' | '.join(name for _, name in MACHINES)} | core-hours | dollars |"]
    lines.append("|---" * (4 + len(MACHINES)) + "|")
    for count in DOCUMENTS:
        seconds = count * tokens / rate
        cells = [time_of(seconds / cores) for cores, _ in MACHINES]
        lines.append(
            f"| {count:,} | {number_of(count * tokens)} | {' | '.join(cells)} | "
            f"{seconds / 3600:,.1f} | {seconds / 3600 * price:,.2f} |"
        )
    return lines


def size_of(size: float) -> str:
    """Bytes in their unit."""
    return f"{size / 1e12:.3g} TB" if size >= 1e12 else f"{size / 1e9:.3g} GB"


def number_of(number: float) -> str:
    """A large number in words."""
    for name, unit in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:,.0f}"


def time_of(seconds: float) -> str:
    """Seconds in their unit."""
    for name, unit in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:.0f} s"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, help="Tokens per second of a core.  [default: the published one]")
    parser.add_argument("--tokens", type=int, default=256, help="Of a document.")
    parser.add_argument("--price", type=float, default=0.04, help="Dollars of a core for an hour.")
    options = parser.parse_args()
    rate = options.rate or rate_of_a_core()
    print("\n".join(vectors()))
    print(f"\n{rate:,.0f} tokens/s a core, {options.tokens} tokens a document, {options.price} dollars a core-hour:\n")
    print("\n".join(hours(rate, options.tokens, options.price)))


if __name__ == "__main__":
    main()
