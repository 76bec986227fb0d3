"""Small folders of invented rows, each in the layout of a published data set."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

ENGLISH = ["A cat sleeps.", "Rain falls on the roof.", "He sold his old boat.", "The train is late again."]
GERMAN = ["Eine Katze schläft.", "Regen fällt aufs Dach.", "Er verkaufte sein altes Boot.", "Der Zug ist wieder spät."]
SCORES = ["4.0", "0.5", "2.25", "3.0"]


def write_all(data: Path) -> Path:
    """Every data set that a task reads."""
    for write in (
        sts_benchmark, semeval, sick, german, chinese, multilingual, armenian, tatoeba, ntrex, banking, counterfactual,
        tweets, poems, sib200, xquad, belebele, scifact, mbpp, cosqa,
    ):  # fmt: skip
        write(data)
    return data


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def lines(*rows: list[str], separator: str = "\t") -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


def pack(path: Path, files: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def sts_benchmark(data: Path) -> None:
    def rows(file: str, year: str) -> list[list[str]]:
        return [
            ["main", file, year, f"{i:04}", score, a, f'{b} "so']
            for i, (score, a, b) in enumerate(zip(SCORES, ENGLISH, GERMAN, strict=False))
        ]

    for part, year in (("train", "2012test"), ("dev", "2012train"), ("test", "2016")):
        put(data / "STSBenchmark" / f"sts-{part}.csv", lines(*rows("MSRvid", year), *rows("track5.en-en", "2017")))


def semeval(data: Path) -> None:
    files = {
        "STS12": ("MSRpar", "SMTeuroparl", "OnWN", "SMTnews"),
        "STS13": ("headlines", "OnWN", "FNWN"),
        "STS14": ("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
    }
    for folder, names in files.items():
        for name in names:
            rows = [[score, a, f'"{b}'] for score, a, b in zip(SCORES, ENGLISH, GERMAN, strict=True)]
            put(data / folder / f"{name}.test.tsv", lines(*rows))


def sick(data: Path) -> None:
    head = ["pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment"]
    for name in ("SICK_train", "SICK_trial", "SICK_test_annotated"):
        rows = [[str(i), ENGLISH[i], GERMAN[i], SCORES[i], "NEUTRAL"] for i in range(4)]
        put(data / "SICK-R" / f"{name}.txt", lines(head, *rows))


def german(data: Path) -> None:
    rows = [[SCORES[i], GERMAN[i], GERMAN[3 - i]] for i in range(4)]
    put(data / "GermanSTSBenchmark" / "aws_stsb_de_test.csv", lines(*rows))


def chinese(data: Path) -> None:
    rows = [["p"] * 4 + [SCORES[i], f"猫睡了 {i}", f"下雨了 {i}"] for i in range(4)]
    put(data / "STSB-zh" / "sts-test.csv", lines(*rows))


def multilingual(data: Path) -> None:
    rows = [[f'"{ENGLISH[i]}, ja"', GERMAN[i], SCORES[i]] for i in range(4)]
    put(data / "STSBenchmarkMultilingualSTS" / "stsb-nl-test.csv", lines(*rows, separator=","))


def armenian(data: Path) -> None:
    rows = [[ENGLISH[i], GERMAN[i], label] for i, label in enumerate(["1", "-1", "0", "1"])]
    put(data / "ArmenianParaphrasePC" / "test.tsv", lines(["Sentence1", "Sentence2", "Paraphrase"], *rows))


def tatoeba(data: Path) -> None:
    files = {"tatoeba/v1/README.md": "about\n"}
    for language in ("deu", "nds"):
        files[f"tatoeba/v1/tatoeba.{language}-eng.{language}"] = "\n".join(GERMAN) + "\n"
        files[f"tatoeba/v1/tatoeba.{language}-eng.eng"] = "\n".join(ENGLISH) + "\n"
    pack(data / "Tatoeba" / "tatoeba-v1.tar.xz", files)


def ntrex(data: Path) -> None:
    names = {"NTREX-128/newstest2019-src.eng.txt": ENGLISH, "NTREX-128/newstest2019-ref.deu.txt": GERMAN}
    pack(
        data / "NTREX" / "NTREX-128.tar.xz",
        {name: "".join(f"{line} \n" for line in text) for name, text in names.items()},
    )


def labelled(count: int) -> list[list[str]]:
    return [[f"{ENGLISH[i % 4]} {i}", "animal" if i % 2 else "weather"] for i in range(count)]


def banking(data: Path) -> None:
    for part, count in (("train", 24), ("test", 6)):
        put(data / "Banking77" / f"{part}.csv", lines(["text", "category"], *labelled(count), separator=","))


def counterfactual(data: Path) -> None:
    for language in ("EN", "EN-ext", "DE", "JP"):
        for part, count in (("train", 80), ("test", 6)):
            rows = [[text, str(int(label == "animal"))] for text, label in labelled(count)]
            path = data / "AmazonCounterfactual" / f"{language}_{part}.tsv"
            put(path, lines(["sentence", "is_counterfactual"], *rows))


def tweets(data: Path) -> None:
    def rows(first: int, count: int) -> list[list[str]]:
        return [
            [f"id{i}", f" so {i} ", ["positive", "neutral", "negative"][i % 3]] for i in range(first, first + count)
        ]

    head = ["textID", "text", "sentiment"]
    put(data / "TweetSentimentExtraction" / "kaggle_train.csv", lines(head, *rows(0, 9), separator=","))
    put(data / "TweetSentimentExtraction" / "kaggle_test.csv", lines(head, *rows(0, 120), separator=","))


def poems(data: Path) -> None:
    for part, count in (("train", 24), ("test", 6)):
        rows = [[str(i), f'"{text}', label] for i, (text, label) in enumerate(labelled(count))]
        put(data / "PoemSentiment" / f"{part}.tsv", lines(*rows))


def sib200(data: Path) -> None:
    files = {}
    for language in ("eng_Latn", "deu_Latn", "nld_Latn", "jpn_Jpan"):
        for part, count in (("train", 24), ("dev", 4), ("test", 6)):
            rows = [[str(i), label, text] for i, (text, label) in enumerate(labelled(count))]
            files[f"annotated/{language}/{part}.tsv"] = lines(["index_id", "category", "text"], *rows)
    pack(data / "SIB200" / "annotated.tar.xz", files)


def xquad(data: Path) -> None:
    paragraphs = [
        {"context": f" {text} ", "qas": [{"question": f"Who? {i}"}, {"question": "What is it? "}]}
        for i, text in enumerate(ENGLISH)
    ]
    for language in ("en", "th", "de", "ar", "zh"):
        value = {"data": [{"paragraphs": paragraphs[:2]}, {"paragraphs": paragraphs[2:]}]}
        put(data / "XQuAD" / f"xquad.{language}.json", json.dumps(value))


def belebele(data: Path) -> None:
    for language, texts in (("eng_Latn", ENGLISH), ("deu_Latn", GERMAN[::-1])):
        pages = ["a", "a", "b", "c"] if language == "eng_Latn" else ["c", "b", "a", "a"]
        rows = [
            {"text": text, "metadata": {"extra": {"url": page}}, "items": [{"question": f"{page} {text}?"}]}
            for page, text in zip(pages, texts, strict=True)
        ]
        put(data / "Belebele" / f"{language}.jsonl", json_lines(rows))


def scifact(data: Path) -> None:
    here = data / "SciFact" / "beir_converted"
    papers = [{"_id": str(10 * i), "title": "On it" if i else "", "text": text} for i, text in enumerate(ENGLISH)]
    here.mkdir(parents=True)
    (here / "corpus.jsonl.gz").write_bytes(gzip.compress(json_lines(papers).encode()))
    put(here / "queries.jsonl", json_lines([{"_id": "1", "text": "cats"}, {"_id": "2", "text": "rain"}]))
    put(here / "qrels" / "test.tsv", lines(["query-id", "corpus-id", "score"], ["1", "0", "1"], ["2", "10", "1"]))


def mbpp(data: Path) -> None:
    rows = [{"task_id": i, "text": text, "code": f"def f{i}():\r\n  pass\r\n"} for i, text in enumerate(ENGLISH)]
    put(data / "MBPP" / "mbpp.jsonl", json_lines(rows))


def cosqa(data: Path) -> None:
    here = data / "CoSQA"
    here.mkdir(parents=True)
    codes = {f"def f{i}(): return {i}": i for i in range(5)}
    (here / "code_idx_map.txt.gz").write_bytes(gzip.compress(json.dumps(codes).encode()))
    put(here / "cosqa-retrieval-test-500.json", json.dumps([{"doc": "return three", "retrieval_idx": 3}]))


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
