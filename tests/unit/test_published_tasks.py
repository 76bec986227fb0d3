"""Each published data set in its publisher's layout → texts, labels, judgements; what is wrong is said in a line."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest
from published_data import ENGLISH, GERMAN, pack, put, write_all

from gemlet import InputError
from gemlet.evaluation.tasks import TASKS, chosen, present


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("data"))


@pytest.fixture
def broken(data: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(data, tmp_path / "data"))


def parts(data: Path, name: str) -> dict[str, Any]:
    return dict(TASKS[name].load(data / TASKS[name].folder))


def test_there_are_at_least_18_tasks_of_every_kind() -> None:
    assert len(TASKS) >= 18
    kinds = {"STS", "PairClassification", "BitextMining", "Classification", "Clustering", "Retrieval"}
    assert {task.kind for task in TASKS.values()} == kinds


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_read_and_says_what_it_measures(data: Path, name: str) -> None:
    task = TASKS[name]
    found = parts(data, name)
    assert tuple(found) == task.parts or not task.parts
    for part, measure in found.items():
        assert measure.kind == task.kind
        assert all(inputs.texts for inputs in measure.inputs())
        assert all("-" in language or len(language) == 3 for language in task.languages_of(part))


def test_pairs_of_sts_keep_quotes_that_are_part_of_a_text(data: Path) -> None:
    assert parts(data, "STSBenchmark")["default"].second[0] == GERMAN[0] + ' "so'
    assert parts(data, "STS13")["default"].second[:4] == [f'"{text}' for text in GERMAN]


def test_sts17_and_msrvid_are_rows_of_stsbenchmark(data: Path) -> None:
    assert len(parts(data, "STS17")["en-en"].scores) == 12
    sts12 = parts(data, "STS12")["default"]
    assert len(sts12.scores) == 20
    assert sts12.second[4] == GERMAN[0] + ' "so'


def test_quoted_commas_are_one_column(data: Path) -> None:
    assert parts(data, "STSBenchmarkMultilingualSTS")["nl"].first[0] == ENGLISH[0] + ", ja"


def test_what_is_nearly_a_paraphrase_does_not_count(data: Path) -> None:
    assert parts(data, "ArmenianParaphrasePC")["default"].labels == [True, False, True]


def test_tatoeba_has_the_foreign_side_first(data: Path) -> None:
    found = parts(data, "Tatoeba")
    assert list(found) == ["deu-eng", "nds-eng"]
    assert (found["deu-eng"].first, found["deu-eng"].second) == (
        [f"{text}\n" for text in GERMAN],
        [f"{text}\n" for text in ENGLISH],
    )


def test_translations_have_the_prompt_that_their_published_scores_come_out_with(data: Path) -> None:
    prompts = {"Tatoeba": "sentence similarity", "NTREXBitextMining": "BitextMining"}
    for task, prompt in prompts.items():
        for measure in parts(data, task).values():
            assert [inputs.prompt_name for inputs in measure.inputs()] == [prompt, prompt]


def test_the_tweets_training_rows_are_those_that_are_not_tested_and_one_without_a_text(data: Path) -> None:
    tweets = parts(data, "TweetSentimentExtractionClassification")["default"]
    assert (len(tweets.test), len(tweets.train)) == (9, 112)
    assert not set(tweets.test) & set(tweets.train)
    assert "" in tweets.train


def test_examples_per_label_are_mtebs(data: Path) -> None:
    wanted = {"Banking77Classification": 8, "AmazonCounterfactualClassification": 32, "PoemSentimentClassification": 8,
              "TweetSentimentExtractionClassification": 32, "SIB200Classification": 8}  # fmt: skip
    assert {name: next(iter(parts(data, name).values())).per_label for name in wanted} == wanted


def test_clustering_joins_the_parts(data: Path) -> None:
    assert len(parts(data, "SIB200ClusteringS2S")["eng_Latn"].texts) == 34


def test_a_question_that_is_asked_twice_is_one_query_with_two_answers(data: Path) -> None:
    xquad = parts(data, "XQuADRetrieval")["th"]
    assert xquad.documents == ENGLISH
    assert xquad.grades[xquad.queries.index("What is it?")] == {0: 1, 1: 1, 2: 1, 3: 1}


def test_passages_in_two_languages_are_joined_by_page_and_place(data: Path) -> None:
    crossed = parts(data, "BelebeleRetrieval")["deu_Latn-eng_Latn"]
    assert crossed.documents == GERMAN[::-1]
    assert crossed.queries[:2] == [f"a {text}?" for text in ENGLISH[:2]]
    assert crossed.grades == [{2: 1}, {3: 1}, {1: 1}, {0: 1}]


def test_a_title_stands_before_its_text(data: Path) -> None:
    assert parts(data, "SciFact")["default"].documents[:2] == [ENGLISH[0], f"On it {ENGLISH[1]}"]


def test_tasks_are_chosen_by_name_and_part() -> None:
    assert len(chosen([])) == len(TASKS)
    assert [(task.name, part) for task, part in chosen(["sts17", "XQuADRetrieval/th"])] == [
        ("STS17", None),
        ("XQuADRetrieval", "th"),
    ]
    with pytest.raises(InputError, match="there is no task 'STS99'; there are STSBenchmark, "):
        chosen(["STS99"])
    with pytest.raises(InputError, match="XQuADRetrieval has no part 'xx'; it has en, th"):
        chosen(["XQuADRetrieval/xx"])


def test_missing_folders_are_named_at_once(data: Path, tmp_path: Path) -> None:
    present(data, chosen([]))
    put(tmp_path / "STS13" / "x", "")
    with pytest.raises(InputError, match=r"has no folder SICK-R, STS14: fetch that data"):
        present(tmp_path, chosen(["STS14", "STS13", "SICK-R"]))
    with pytest.raises(InputError, match=r"there is no folder .*nowhere: --data-dir names"):
        present(tmp_path / "nowhere", chosen(["STS14"]))


WRONG = [
    ("STSBenchmark", "STSBenchmark/sts-test.csv", None, "sts-test.csv is missing: --data-dir has no such file"),
    ("STSBenchmark", "STSBenchmark/sts-test.csv", "", "there are no pairs"),
    ("STSBenchmark", "STSBenchmark/sts-test.csv", "a\tb\n", "csv, line 1: found 2 columns, expected 7 or more"),
    ("STSBenchmark", "STSBenchmark/sts-test.csv", "a\tb\tc\t1\tnan\tx\ty\n", "sts-test.csv, row 1: 'nan' is no number"),
    ("STSBenchmark", "STSBenchmark/sts-test.csv", "a\tb\tc\t1\tbad\tx\ty\n", "sts-test.csv, row 1: 'bad' is no number"),
    ("STSBenchmark", "STSBenchmark/sts-test.csv", "a\tb\tc\t1\t2\tx\ty\n" * 10, "all 10 pairs have the same score"),
    ("SICK-R", "SICK-R/SICK_train.txt", "a\tb\n1\t2\n", "SICK_train.txt has no column 'sentence_A'; found a, b"),
    ("ArmenianParaphrasePC", "ArmenianParaphrasePC/test.tsv", "Sentence1\tSentence2\tParaphrase\na\tb\t7\n",
     "Paraphrase is '7', expected 1, 0 or -1"),
    ("ArmenianParaphrasePC", "ArmenianParaphrasePC/test.tsv", "Sentence1\tSentence2\tParaphrase\na\tb\t1\n",
     "all 1 pairs have the same label"),
    ("Banking77Classification", "Banking77/train.csv", "text,category\na,x\nb,x\n", "every row to learn from is 'x'"),
    ("Banking77Classification", "Banking77/test.csv", "text,category\n", "there are no rows to judge by"),
    ("PoemSentimentClassification", "PoemSentiment/train.tsv", "1\ta\n", "line 1: found 2 columns, expected 3 or more"),
    ("XQuADRetrieval", "XQuAD/xquad.en.json", "[", "xquad.en.json is no JSON"),
    ("XQuADRetrieval", "XQuAD/xquad.en.json", '{"data": [{"title": 1}]}', "xquad.en.json has no 'paragraphs'"),
    ("XQuADRetrieval", "XQuAD/xquad.en.json", '{"data": []}', "there are no queries"),
    ("BelebeleRetrieval", "Belebele/eng_Latn.jsonl", "{}\n", "eng_Latn.jsonl, line 1 has no 'text'"),
    ("BelebeleRetrieval", "Belebele/eng_Latn.jsonl", '{"text": "a", "items": [], "metadata": 1}\n',
     "a passage has no metadata.extra.url"),
    ("BelebeleRetrieval", "Belebele/eng_Latn.jsonl", "not json\n", "eng_Latn.jsonl, line 1 is no JSON"),
    ("SciFact", "SciFact/beir_converted/qrels/test.tsv", "q\td\ts\n1\t77\t1\n",
     "test.tsv, line 2: there is no query '1' or no document '77'"),
    ("SciFact", "SciFact/beir_converted/qrels/test.tsv", "q\td\ts\n1\t0\t0\n",
     "no document is relevant for the query 'cats'"),
    ("SciFact", "SciFact/beir_converted/qrels/test.tsv", "q\td\ts\n", "there are no queries"),
    ("CosQA", "CoSQA/cosqa-retrieval-test-500.json", '[{"doc": "a", "retrieval_idx": 99}]', "there is no code 99"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content", "message"), WRONG)
def test_what_is_wrong_with_a_file_is_said_in_a_line(
    broken: Path, name: str, file: str, content: str | None, message: str
) -> None:
    (broken / file).unlink()
    if content is not None:
        put(broken / file, content)
    with pytest.raises(InputError) as caught:
        parts(broken, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_archives_that_are_none_are_said_in_a_line(broken: Path) -> None:
    (broken / "STSBenchmark" / "sts-test.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"sts-test\.csv is not UTF-8: byte 0"):
        parts(broken, "STSBenchmark")
    for task, file in (("Tatoeba", "Tatoeba/tatoeba-v1.tar.xz"), ("SIB200Classification", "SIB200/annotated.tar.xz")):
        packed = (broken / file).read_bytes()
        (broken / file).write_bytes(packed[: len(packed) // 2])
        with pytest.raises(InputError, match="cannot be unpacked"):
            parts(broken, task)
        (broken / file).unlink()
        with pytest.raises(InputError, match="is missing"):
            parts(broken, task)
    packed = broken / "CoSQA" / "code_idx_map.txt.gz"
    packed.write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(InputError, match=r"code_idx_map\.txt\.gz cannot be unpacked"):
        parts(broken, "CosQA")


def test_an_archive_without_the_files_is_said_in_a_line(broken: Path) -> None:
    pack(broken / "Tatoeba" / "tatoeba-v1.tar.xz", {"tatoeba/v1/tatoeba.deu-eng.deu": "a\n"})
    with pytest.raises(InputError, match="has one side of deu-eng only"):
        parts(broken, "Tatoeba")
    pack(broken / "NTREX" / "NTREX-128.tar.xz", {"x": ""})
    with pytest.raises(InputError, match=r"has no file NTREX-128/newstest2019-ref\.deu\.txt"):
        parts(broken, "NTREXBitextMining")
