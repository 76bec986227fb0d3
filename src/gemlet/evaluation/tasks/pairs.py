"""Pairs of texts: STS, paraphrases, translations.   (folders → Similarity, PairClassification, Bitext)"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from gemlet.errors import InputError
from gemlet.evaluation.protocols import PROMPTS, Bitext, Measure, PairClassification, Similarity
from gemlet.evaluation.tasks import reading

Parts = Iterator[tuple[str, Measure]]


def sts_benchmark(folder: Path) -> Parts:
    """`sts-test.csv`: genre, file, year, number, score and both texts between tabs, without quotes."""
    yield "default", _similarity(folder / "sts-test.csv", _benchmark(folder / "sts-test.csv"), 4, 5, 6)


def sts17(folder: Path) -> Parts:
    """The rows of STSBenchmark whose file is track5.en-en, in whatever part of it they are."""
    rows = [row for part in ("train", "dev", "test") for row in _benchmark(folder / f"sts-{part}.csv")]
    found = [row for row in rows if row[1] == "track5.en-en"]
    yield "en-en", _similarity(folder / "sts-*.csv", found, 4, 5, 6)


def sts12(folder: Path) -> Parts:
    """Four files of SemEval 2012, and the pairs of MSRvid, which lie in ../STSBenchmark."""
    rows = []
    for name in ("MSRpar", "MSRvid", "SMTeuroparl", "OnWN", "SMTnews"):
        rows += _msrvid(folder.parent / "STSBenchmark") if name == "MSRvid" else _semeval(folder, name)
    yield "default", _similarity(folder, rows, 0, 1, 2)


def semeval(*names: str) -> Callable[[Path], Parts]:
    """The loader of a year of SemEval: `NAME.test.tsv` with score and both texts between tabs, without quotes."""

    def load(folder: Path) -> Parts:
        yield "default", _similarity(folder, [row for name in names for row in _semeval(folder, name)], 0, 1, 2)

    return load


def sick(folder: Path) -> Parts:
    """All rows of three files; MTEB's test set is all of them."""
    columns = ("sentence_A", "sentence_B", "relatedness_score")
    rows = []
    for name in ("SICK_train", "SICK_trial", "SICK_test_annotated"):
        rows += reading.named_rows(folder / f"{name}.txt", "\t", columns, quoted=False)
    yield "default", _similarity(folder, rows, 2, 0, 1)


def german_sts(folder: Path) -> Parts:
    """`aws_stsb_de_test.csv`: score and both texts between tabs."""
    path = folder / "aws_stsb_de_test.csv"
    yield "default", _similarity(path, reading.rows_of(path, "\t", 3, quoted=False), 0, 1, 2)


def chinese_sts(folder: Path) -> Parts:
    """`sts-test.csv`: four columns that say nothing, score and both texts between tabs."""
    path = folder / "sts-test.csv"
    yield "default", _similarity(path, reading.rows_of(path, "\t", 7, quoted=False), 4, 5, 6)


def multilingual_sts(*languages: str) -> Callable[[Path], Parts]:
    """The loader of `stsb-LANGUAGE-test.csv`: both texts and the score between commas."""

    def load(folder: Path) -> Parts:
        for language in languages:
            path = folder / f"stsb-{language}-test.csv"
            yield language, _similarity(path, reading.rows_of(path, ",", 3), 2, 0, 1)

    return load


def armenian(folder: Path) -> Parts:
    """`test.tsv`: two sentences, and 1 for the same, -1 for another, 0 for nearly the same, which does not count."""
    path = folder / "test.tsv"
    rows = reading.named_rows(path, "\t", ("Sentence1", "Sentence2", "Paraphrase"))
    for row in rows:
        if row[2] not in ("1", "0", "-1"):
            raise InputError(f"{path}: Paraphrase is {row[2]!r}, expected 1, 0 or -1")
    rows = [row for row in rows if row[2] != "0"]
    labels = [row[2] == "1" for row in rows]
    yield "default", PairClassification([row[0] for row in rows], [row[1] for row in rows], labels)


def tatoeba(folder: Path) -> Parts:
    """`tatoeba-v1.tar.xz` with tatoeba.AAA-eng.AAA and tatoeba.AAA-eng.eng for each language AAA: a text a line.

    The line feed stays at its end, as in MTEB's data; with it the scores are nearer to the published ones.
    """
    path = folder / "tatoeba-v1.tar.xz"
    pairs: dict[str, dict[str, list[str]]] = defaultdict(dict)
    files = reading.members(path)
    for name in files:
        parts = Path(name).name.split(".")
        if len(parts) == 3 and parts[0] == "tatoeba":
            lines = reading.member_of(path, files, name).removesuffix("\n").split("\n")
            pairs[parts[1]][parts[2]] = [f"{line}\n" for line in lines]
    if not pairs:
        raise InputError(f"{path} has no file tatoeba.AAA-eng.AAA")
    for pair, sides in sorted(pairs.items()):
        foreign = pair.removesuffix("-eng")
        if set(sides) != {foreign, "eng"}:
            raise InputError(f"{path} has one side of {pair} only")
        yield pair, Bitext(sides[foreign], sides["eng"], PROMPTS["Tatoeba"])


def ntrex(*pairs: str) -> Callable[[Path], Parts]:
    """The loader of pairs "deu_Latn-eng_Latn" out of `NTREX-128.tar.xz`: one file a language, line by line."""

    def load(folder: Path) -> Parts:
        path = folder / "NTREX-128.tar.xz"
        files = reading.members(path)

        def side(language: str) -> list[str]:
            code = language[:3]
            name = f"NTREX-128/newstest2019-{'src' if code == 'eng' else 'ref'}.{code}.txt"
            return [line.strip() for line in reading.member_of(path, files, name).removesuffix("\n").split("\n")]

        for pair in pairs:
            first, second = pair.split("-")
            yield pair, Bitext(side(first), side(second))

    return load


def _benchmark(path: Path) -> list[list[str]]:
    return reading.rows_of(path, "\t", 7, quoted=False)


def _semeval(folder: Path, name: str) -> list[list[str]]:
    return reading.rows_of(folder / f"{name}.test.tsv", "\t", 3, quoted=False)


def _msrvid(folder: Path) -> list[list[str]]:
    """Score and texts of the test pairs of 2012, by their numbers there."""
    rows = [row for part in ("train", "dev", "test") for row in _benchmark(folder / f"sts-{part}.csv")]
    found = [row for row in rows if row[1] == "MSRvid" and row[2] == "2012test"]
    return [row[4:7] for row in sorted(found, key=lambda row: row[3])]


def _similarity(path: Path, rows: list[list[str]], score: int, first: int, second: int) -> Similarity:
    scores = [reading.number(path, line, row[score]) for line, row in enumerate(rows, 1)]
    return Similarity([row[first] for row in rows], [row[second] for row in rows], scores)
