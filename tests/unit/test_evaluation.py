"""One's own data: reading, ranking, figures, comparisons, reports; each mistake one line."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gemlet import Embedder
from gemlet.errors import InputError
from gemlet.evaluation import (
    Setting,
    Trial,
    as_labelled,
    as_pairs,
    as_retrieval,
    entries_of,
    evaluate_labels,
    evaluate_pairs,
    evaluate_retrieval,
    judgements_of,
    read_labelled,
    read_pairs,
    read_retrieval,
)
from gemlet.evaluation import embedding as embedding_module
from gemlet.evaluation.advice import judged
from gemlet.evaluation.exact import Best
from gemlet.evaluation.report import html_of, markdown_of, write_report
from gemlet.evaluation.resampling import Difference
from gemlet.evaluation.settings import by_model, cut
from gemlet.vectors import normalize

WORDS = ["red", "sea", "one", "task", "title", "query", "search", "result", "sentence", "clustering"]
DOCUMENTS = {f"d{n}": f"{WORDS[n % 10]} the {WORDS[n // 10]} {WORDS[n * 7 % 10]}" for n in range(40)}
QUERIES = {f"q{n}": f"{WORDS[n % 10]} {WORDS[n // 10]}" for n in range(20)}
QRELS = {f"q{n}": {f"d{n}": 2, f"d{n + 10}": 1, f"d{n + 1}": 0} for n in range(20)}


def made() -> object:
    return as_retrieval(entries_of(QUERIES), entries_of(DOCUMENTS), judgements_of(QRELS))


class Wide:
    """768 numbers for each text, by its hash: of two texts with a word in common the cosine is higher."""

    quantization = "f32"

    def encode(self, texts, *, prompt_name=None, titles=None, truncate_dim=None):
        rows = [sum(self.word(word) for word in text.split()) for text in texts]
        return cut(normalize(np.array(rows, np.float32)), truncate_dim)

    encode_document = encode

    @staticmethod
    def word(word: str) -> np.ndarray:
        return np.random.default_rng(list(word.encode())).normal(size=768)


def trial(tiny: Embedder, *others: Setting, **how: object) -> Trial:
    return Trial(Setting("tiny"), others, load=lambda setting: tiny, **how)


# --- ranking ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("block", [1, 7, 64, 500])
def test_blocks_rank_as_a_whole_does_ties_by_row(block: int) -> None:
    rng = np.random.default_rng(0)
    documents = normalize(rng.normal(size=(200, 64)).astype(np.float32))
    documents[150:190] = documents[10:50]  # the same again
    queries = normalize(rng.normal(size=(9, 64)).astype(np.float32))
    best = Best(queries, 30)
    for begin in range(0, 200, block):
        best.add(documents[begin : begin + block])
    cosines = documents.astype(np.float64) @ queries.T.astype(np.float64)
    for query in range(9):
        rounded = np.round(cosines[:, query], 6)  # float32 differs in the last digits
        assert np.round(cosines[best.rows[query], query], 6).tolist() == np.sort(rounded)[::-1][:30].tolist()
        places = {row: place for place, row in enumerate(best.rows[query].tolist())}
        both = [(row, row + 140) for row in range(10, 50) if row + 140 in places]
        assert both
        assert all(places[first] < places[second] for first, second in both)


def test_fewer_documents_than_places() -> None:
    vectors = np.eye(3, 32, dtype=np.float32)
    best = Best(vectors[:1], 5)
    best.add(vectors[1:])
    best.add(vectors[:1])
    assert best.rows.tolist() == [[2, 0, 1, -1, -1]]


def test_cut_vectors_are_the_first_numbers_of_unit_length(tiny: Embedder) -> None:
    texts = list(DOCUMENTS.values())
    hidden = tiny.encode(texts, normalize_embeddings=False)
    np.testing.assert_allclose(cut(tiny.encode(texts), 32), normalize(hidden[:, :32].copy()), atol=1e-6)
    assert cut(hidden, None) is hidden


# --- figures ---------------------------------------------------------------------------------------------------------
def test_retrieval_is_what_trec_eval_says_of_all_cosines(tiny: Embedder) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    found = evaluate_retrieval(made(), trial(tiny))
    queries = tiny.encode_query(list(QUERIES.values())).astype(np.float64)
    cosines = queries @ tiny.encode_document(list(DOCUMENTS.values())).astype(np.float64).T
    run = {q: dict(zip(DOCUMENTS, row.tolist(), strict=True)) for q, row in zip(QUERIES, cosines, strict=True)}
    theirs = pytrec_eval.RelevanceEvaluator(QRELS, {"ndcg_cut.10", "recall.10", "P.10", "map"}).evaluate(run)
    for ours, name in (
        ("ndcg@10", "ndcg_cut_10"),
        ("recall@10", "recall_10"),
        ("precision@10", "P_10"),
        ("map@100", "map"),
    ):
        assert found.figure(ours).value == pytest.approx(np.mean([row[name] for row in theirs.values()]), abs=1e-6)
    assert [one.name for one in found.figures] == ["ndcg@10", "recall@10", "precision@10", "mrr@10", "map@100"]
    assert found.what == "20 queries, 40 documents, 60 judgements"
    assert all(one.low <= one.value <= one.high for one in found.figures)
    assert found.setting.quantization == "q8_0"


def test_many_documents_have_recall_at_a_hundred(tiny: Embedder) -> None:
    documents = DOCUMENTS | {f"more{n}": f"red {n}" for n in range(70)}
    data = as_retrieval(entries_of(QUERIES), entries_of(documents), judgements_of(QRELS))
    assert "recall@100" in [one.name for one in evaluate_retrieval(data, trial(tiny), k=5).figures]


def test_titles_go_into_the_prompt(tiny: Embedder) -> None:
    seen = []

    class Watched:
        quantization = "q8_0"
        encode = staticmethod(tiny.encode)

        def encode_document(self, texts, *, titles, **options):
            seen.extend(titles)
            return tiny.encode_document(texts, titles=titles, **options)

    documents = entries_of({"d1": ("a title", "red"), "d2": "sea"})
    data = as_retrieval(entries_of({"q": "red"}), documents, judgements_of({"q": {"d1": 1}}))
    evaluate_retrieval(data, Trial(Setting("tiny"), load=lambda setting: Watched()))
    assert seen == ["a title", None]


def test_pairs_are_compared_by_cosine(tiny: Embedder) -> None:
    left, right = list(DOCUMENTS.values())[:20], list(DOCUMENTS.values())[20:]
    scores = np.arange(20.0)
    found = evaluate_pairs(as_pairs(left, right, scores), trial(tiny))
    cosines = tiny.similarity_pairwise(
        tiny.encode(left, prompt_name="STS"), tiny.encode(right, prompt_name="STS")
    ).astype(np.float64)
    stats = pytest.importorskip("scipy.stats")
    assert found.figure("spearman").value == pytest.approx(stats.spearmanr(scores, cosines)[0], abs=1e-6)
    assert found.figure("pearson").value == pytest.approx(stats.pearsonr(scores, cosines)[0], abs=1e-5)
    assert [one.name for one in found.figures] == ["spearman", "pearson"]


def test_yes_and_no_have_an_average_precision(tiny: Embedder) -> None:
    texts = list(DOCUMENTS.values())[:12]
    found = evaluate_pairs(as_pairs(texts, texts[:6] + texts[:6], [1] * 6 + [0] * 6), trial(tiny))
    assert found.figures[0].name == "average_precision"
    assert found.figure("average_precision").value == found.figure("best_f1").value == 1


def test_labels_are_told_and_grouped(tiny: Embedder) -> None:
    texts = [f"{word} the {other}" for other in WORDS for word in ("red", "search result")]
    labels = ["colour", "finding"] * 10
    found = evaluate_labels(as_labelled([*texts, "sea"], [*labels, "lonely"]), trial(tiny))
    assert [one.name for one in found.figures] == ["accuracy", "macro_f1", "v_measure"]
    assert found.figure("accuracy").value > 0.7
    assert found.notes[0].startswith("1 text is the only one of its label and is left out of accuracy")


# --- settings and comparisons ----------------------------------------------------------------------------------------
def test_a_setting_that_differs_in_dim_alone_is_cut_not_embedded_again() -> None:
    loaded, told = [], []

    def load(setting: Setting) -> Wide:
        loaded.append(setting)
        return Wide()

    others = [Setting("tiny", dim=128), Setting("tiny", dim=256), Setting("other")]
    how = Trial(Setting("tiny", dim=512), others, load=load, progress=lambda done, total: told.append((done, total)))
    found = evaluate_retrieval(made(), how)
    assert [one.model for one in loaded] == ["tiny", "other"]
    assert told[-1] == (120, 120)
    assert [one.name for one in found.comparisons] == ["dim=128", "dim=256", "model=other,dim=768"]
    alone = evaluate_retrieval(made(), Trial(Setting("tiny", dim=128), load=load))
    assert alone.figures == found.comparisons[0].figures
    assert found.comparisons[0].differences[0].value != 0


@pytest.mark.parametrize("kind", ["retrieval", "pairs", "labels"])
def test_differences_are_of_the_figures(kind: str) -> None:
    texts = list(DOCUMENTS.values())
    how = Trial(Setting("wide"), [Setting("wide", dim=128)], load=lambda setting: Wide())
    if kind == "retrieval":
        found = evaluate_retrieval(made(), how)
    elif kind == "pairs":
        found = evaluate_pairs(as_pairs(texts, texts[::-1], np.arange(40) % 7), how)
    else:
        found = evaluate_labels(as_labelled(texts, [text[0] for text in texts]), how)
    one = found.comparisons[0]
    for base, own, gap in zip(found.figures, one.figures, one.differences, strict=True):
        assert own.value - base.value == pytest.approx(gap.value, abs=1e-12)
        assert gap.low <= gap.value <= gap.high
        assert base.name == own.name == gap.name
        assert 0 < gap.p <= 1
    assert any(gap.value for gap in one.differences)


def test_settings_are_read() -> None:
    base = Setting("a", "f32", 256)
    assert base.changed("dim=128") == Setting("a", "f32", 128)
    assert base.changed("dim=768, quantization=q8_0") == Setting("a", "q8_0", None)
    assert base.changed("model=b.gguf") == Setting("b.gguf", None, 256)
    assert base.changed("model=b,quantization=f32").quantization == "f32"
    assert base.changed("dim=128").named(base) == "dim=128"
    assert len(list(by_model([base, base.changed("dim=128"), base.changed("model=b")]))) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("256", "'256' is no setting: write dim=256"),
        ("size=3", "'size=3' is no setting"),
        ("dim=", "'dim=' is no setting"),
        ("dim=300", "dim is '300': the model was trained for 768, 512, 256, 128"),
        ("dim=128,dim=256", "says dim twice"),
        ("quantization=q4_0", r"gemlet quantize MODEL FILE.gguf --type q4_0"),
        ("model=a", "'model=a' is what it would be compared with"),
        ("dim=768", "is what it would be compared with"),
    ],
)
def test_what_is_no_setting(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Setting("a").changed(text)


LESS = "a third of the size: "


@pytest.mark.parametrize(
    ("value", "low", "high", "choice", "words"),
    [
        (-0.004, -0.007, -0.001, "good enough", "0.40 points less (0.10 to 0.70), a third of the size: good enough if"),
        (-0.004, -0.007, -0.001, "good enough", LESS + "good enough if you can afford 0.7 points"),
        (-0.002, -0.005, 0.001, "good enough", "0.20 points less (0.50 less to 0.10 more)"),
        (-0.002, -0.005, 0.001, "good enough", LESS + "good enough if you can afford half a point"),
        (0.0, -0.01, 0.01, "good enough", "no more and no less (-1.00 to +1.00 points)"),
        (0.0, -0.01, 0.01, "good enough", LESS + "good enough if you can afford a point"),
        (0.0, 0.0, 0.0, "good enough", LESS + "good enough, it is no lower in these rows"),
        (0.02, 0.01, 0.03, "better", "2.00 points more (1.00 to 3.00), a third of the size: better"),
        (-0.05, -0.08, -0.02, "a trade", LESS + "worse, take it only if you can afford 8 points"),
        (-0.01, -0.04, 0.02, "not decided", "1.00 points less (4.00 less to 2.00 more)"),
        (-0.01, -0.04, 0.02, "not decided", LESS + "not decided, some 900 rows like these would tell"),
        (0.01, -0.02, 0.04, "not decided", "1.00 points more (2.00 less to 4.00 more)"),
        (0.0, float("nan"), float("nan"), "not decided", "too few to tell"),
    ],
)
def test_the_rule(value: float, low: float, high: float, choice: str, words: str) -> None:
    p = 0.01 if choice in ("better", "a trade") else 0.5
    verdict = judged(Setting(), Setting(dim=256), Difference("ndcg@10", value, low, high, p), 100)
    assert verdict.choice == choice
    assert words in verdict.text
    assert verdict.text.startswith("dim=256: ")


def test_an_interval_that_p_contradicts_decides_nothing() -> None:
    for value, low, high, choice in ((-0.03, -0.05, -0.01, "not decided"), (0.03, 0.01, 0.05, "good enough")):
        verdict = judged(Setting(), Setting(dim=256), Difference("ndcg@10", value, low, high, 0.06), 100)
        assert verdict.choice == choice


def test_few_rows_are_said_to_be_few(tiny: Embedder) -> None:
    assert "rough ones, of 20 rows: 30 or more" in evaluate_retrieval(made(), trial(tiny)).notes[-1]


# --- files -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "q.jsonl", [{"_id": "q1", "text": "red"}, {"_id": "q2", "text": "sea"}, {"_id": 3, "text": "one"}])
    lines(tmp_path / "d.jsonl", [{"_id": "d1", "title": "T", "text": "red"}, {"_id": "d2", "text": "sea"}])
    (tmp_path / "r.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\n3\td1\t1\n")
    return tmp_path


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read() -> object:
    return read_retrieval("q.jsonl", "d.jsonl", "r.tsv")


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\n3\td1\t1\n",
        "q1\td1\t2\nq2\td2\t1\n3\td1\t1\n",
        "corpus-id\tscore\tquery-id\nd1\t2\tq1\nd2\t1\tq2\nd1\t1\t3\n",
        "q1 0 d1 2\nq2 0 d2 1\n\n3 Q0 d1 1.0\n",
        "\ufeffq1\t0\td1\t2\r\nq2\t0\td2\t1\r\n3\t0\td1\t1",
    ],
)
def test_qrels_of_beir_and_trec_are_read(files: Path, text: str) -> None:
    (files / "r.tsv").write_text(text, encoding="utf-8", newline="")
    data = read()
    assert data.grades == [{0: 2}, {1: 1}, {0: 1}]
    assert (data.documents[0].title, data.documents[1].title) == ("T", None)
    assert data.queries[2].id == "3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "r.tsv: there is no judgement in it"),
        ("q1,d1,1\n", "r.tsv:1 has 1 column: a qrels file has 3 .* tabs between them"),
        ("q1\td1\t2\nq2\td2\n", "r.tsv:2 has 2 columns"),
        ("q1\td1\tnan\n", "r.tsv:1 has the score 'nan': a grade is a whole number"),
        ("q1\td1\t0.5\n", "r.tsv:1 has the score '0.5'"),
        ("q1\td1\tyes\n", "r.tsv:1 has the score 'yes'"),
        ("q1\td1\t1\nq9\td1\t1\n", "r.tsv:2 names the query 'q9', which is not among the queries: add it there"),
        ("q1\td1\t1\nq1\td9\t1\n", "r.tsv:2 names the document 'd9', which is not among the documents: add it there"),
        ("d1\tq1\t1\n", "r.tsv:1 names the query 'd1'.*are the columns the other way round?"),
        (
            "q1\td1\t1\nq2\td1\t1\nq1\td1\t0\n",
            "r.tsv:3 judges document 'd1' for query 'q1' a second time, after r.tsv:1",
        ),
        ("q1\td1\t0\nq2\td2\t-1\n", "none of the 3 queries has a relevant document"),
    ],
)
def test_a_wrong_qrels_file(files: Path, text: str, words: str) -> None:
    (files / "r.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as error:
        read()
    assert "\n" not in str(error.value)


def test_a_query_without_relevant_document_is_left_out_and_said(files: Path) -> None:
    (files / "r.tsv").write_text("q1\td1\t1\nq2\td1\t0\n", encoding="utf-8")
    data = read()
    assert [query.id for query in data.queries] == ["q1"]
    assert data.notes == [
        "2 queries have no relevant document and are left out (the first: q.jsonl:2, 'q2'): judge a document over 0 "
        "for it, or take it out"
    ]


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        (
            "q.jsonl",
            [{"_id": "q1", "text": "a"}, {"_id": "q1", "text": "b"}],
            "q.jsonl:2 has the id 'q1', as q.jsonl:1 has",
        ),
        ("d.jsonl", [{"_id": "d1", "text": "a"}] * 2, "d.jsonl:2 has the id 'd1', as d.jsonl:1 has: ids must differ"),
        ("q.jsonl", [], "q.jsonl: there is no row in it"),
        ("d.jsonl", [], "d.jsonl: there is no row in it"),
        ("q.jsonl", [{"key": "q1", "text": "a"}], "q.jsonl: rows need `_id` and `text`.*the columns are: key, text"),
        ("q.jsonl", [{"_id": "q1", "text": " "}], "q.jsonl:1 has no text: fill it"),
        ("q.jsonl", [{"_id": None, "text": "a"}], "q.jsonl:1 has no id in '_id'"),
        ("d.jsonl", [{"_id": "d1", "text": ["a"]}], "d.jsonl:1 has no text in 'text', but a list"),
    ],
)
def test_wrong_queries_and_documents(files: Path, name: str, rows: list[dict[str, object]], words: str) -> None:
    lines(files / name, rows)
    with pytest.raises(InputError, match=words):
        read()


def test_files_that_are_not_there(files: Path) -> None:
    for names in (("no.jsonl", "d.jsonl", "r.tsv"), ("q.jsonl", "no.jsonl", "r.tsv"), ("q.jsonl", "d.jsonl", "no.tsv")):
        with pytest.raises(InputError, match=r"cannot read no\.\w+: No such file"):
            read_retrieval(*names)


def test_documents_without_text_may_be_left_out(files: Path) -> None:
    lines(
        files / "d.jsonl",
        [{"_id": "d1", "title": "T", "text": ""}, {"_id": "d2", "text": "sea"}, {"_id": "d3", "text": ""}],
    )
    with pytest.raises(InputError, match=r"d\.jsonl:3 has no text"):
        read()
    assert len(read_retrieval("q.jsonl", "d.jsonl", "r.tsv", skip_empty=True).documents) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "sentence1,sentence2,score\na,b,1\nc,d,nan\ne,f,2\n",
            "p.csv:3 has the score 'nan' in 'score': give it a number",
        ),
        ("sentence1,sentence2,score\na,b,1\nc,d,\ne,f,2\n", "p.csv:3 has the score ''"),
        ("sentence1,sentence2,score\na,b,1\n,d,2\ne,f,2\n", "p.csv:3 has no text in 'sentence1'"),
        ("sentence1,sentence2,score\na,b,1\n", "p.csv: a correlation needs 3 pairs or more, not 1"),
        ("sentence1,sentence2,score\n" + "a,b,1\n" * 10, "p.csv: all 10 pairs have the score 1: a correlation needs"),
        (
            "sentence1,sentence2,score\n" + "".join(f"a,b,{n}\n" for n in range(10)),
            "p.csv: all 10 pairs are the same two",
        ),
        ("one,two,three,four\na,b,c,1\n", "p.csv: which columns are the two texts and the score?.*--columns A,B,SCORE"),
        ("", "p.csv: there is no row in it"),
        ("sentence1,sentence2,score\n", "p.csv: there is no row in it"),
    ],
)
def test_wrong_pairs(files: Path, text: str, words: str) -> None:
    (files / "p.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_pairs("p.csv")


def test_columns_of_pairs(files: Path) -> None:
    (files / "p.csv").write_text("n,x,y,how\n1,a,b,1\n2,c,d,2\n3,e,f,3\n", encoding="utf-8")
    assert read_pairs("p.csv", ["x", " y", "how"]).left == ["a", "c", "e"]
    for columns, words in ((["x", "y", "z"], "there is no column 'z'"), (["x", "y"], "three, FIRST,SECOND,SCORE")):
        with pytest.raises(InputError, match=words):
            read_pairs("p.csv", columns)
    (files / "three.csv").write_text("x,y,how\na,b,0\nc,d,1\ne,f,0\n", encoding="utf-8")
    data = read_pairs("three.csv")
    assert (data.right, data.binary) == (["b", "d", "f"], True)
    (files / "gap.csv").write_text("x,y,how\na,b,0\n,d,1\ne,f,1\ng,h,1\n", encoding="utf-8")
    assert len(read_pairs("gap.csv", skip_empty=True).left) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("text,label\na,x\nb,x\n", "l.csv: every text is 'x': it takes two labels"),
        ("text,label\na,x\n", "l.csv: every text is 'x'"),
        ("text,label\na,x\nb,y\n", "l.csv: each of the 2 texts has a label of its own"),
        ("text,label\n" + "a,x\na,y\n" * 5, "l.csv: all 10 texts are the same for 2 labels"),
        ("text,label\na,x\nb,y\nb,z\na,z\n", "l.csv: there are 2 different texts for 3 labels"),
        ("text,label\na,x\nb,\n", "l.csv:3 has no label in 'label'"),
        ("text,label\n", "l.csv: there is no row in it"),
    ],
)
def test_wrong_labels(files: Path, text: str, words: str) -> None:
    (files / "l.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_labelled("l.csv")


def test_data_of_a_program() -> None:
    with pytest.raises(InputError, match="there is no query to measure with"):
        as_retrieval([], entries_of(DOCUMENTS), [])
    with pytest.raises(InputError, match="a judgement names the document 'x'"):
        as_retrieval(entries_of(QUERIES), entries_of(DOCUMENTS), judgements_of({"q1": {"x": 1}}))
    with pytest.raises(InputError, match="pair 1 has the score nan"):
        as_pairs(["a", "b", "c"], ["a", "b", "c"], [1, float("nan"), 2])
    with pytest.raises(InputError, match="2 and 1 texts and 1 scores"):
        as_pairs(["a", "b"], ["a"], [1])
    with pytest.raises(InputError, match="2 texts and 1 labels"):
        as_labelled(["a", "b"], ["x"])


# --- reports ---------------------------------------------------------------------------------------------------------
EVIL = '<script>alert(1)</script> & "quoted" | [a](b) `c` \u202e *d*'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {name for name, _ in attrs} & {"href", "src", "style", "onclick", "onload"}

    def handle_data(self, data: str) -> None:
        self.text += data


def evil(tiny: Embedder) -> object:
    queries = QUERIES | {EVIL: EVIL}
    documents = DOCUMENTS | {f"<b>{EVIL}": (EVIL, f"far {EVIL}")}
    qrels = QRELS | {EVIL: {f"<b>{EVIL}": 1, "d1": 1}}
    data = as_retrieval(entries_of(queries), entries_of(documents), judgements_of(qrels))
    return evaluate_retrieval(data, Trial(Setting(EVIL), [Setting("<i>x")], load=lambda setting: tiny))


def test_html_holds_everything_and_no_script(tiny: Embedder) -> None:
    page = html_of(evil(tiny))
    tags = Tags()
    tags.feed(page)
    assert not tags.tags & {"script", "b", "i", "a", "img", "link", "iframe"}
    assert "<script>alert(1)</script>" in tags.text
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    for said in ("nDCG@10", "95% interval", "model=<i>x, compared", "The hardest queries", "rough ones, of 21 rows"):
        assert said in tags.text


def test_markdown_shows_texts_as_they_are(tiny: Embedder) -> None:
    page = markdown_of(evil(tiny))
    assert "<" not in page
    assert "\u202e" not in page
    assert not re.search(r"(?<!\\)[`*](?!\*)[cd]", page)
    assert "| nDCG@10 |" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {4, 6}


def test_a_report_is_written_whole_or_not_at_all(tiny: Embedder, tmp_path: Path) -> None:
    found = evaluate_retrieval(made(), trial(tiny))
    for name, begin in (("a.html", b"<!doctype html>"), ("a.md", b"# How well queries")):
        write_report(found, str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(begin)
    for path, words in (("a.txt", "name a .html or .md file"), (str(tmp_path / "no" / "a.md"), "there is no folder")):
        with pytest.raises(InputError, match=words):
            write_report(found, path)


def test_json_has_no_nan(tiny: Embedder) -> None:
    texts = list(DOCUMENTS.values())[:12]  # each beside itself: all cosines are 1
    found = evaluate_pairs(as_pairs(texts, texts, np.arange(12.0)), Trial(Setting("flat"), load=lambda setting: Flat()))
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert value["figures"][0] == {"name": "spearman", "value": None, "low": None, "high": None}
    assert value["kind"] == "pairs"
    assert "? to ?" in markdown_of(found)


class Flat(Wide):
    """The same vector for every text."""

    @staticmethod
    def word(word: str) -> np.ndarray:
        return np.ones(768)


def test_memory_holds_a_block_of_documents_at_a_time(tiny: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_module, "BLOCK", 8)
    sizes = []
    real = Best.add

    def watched(self: Best, documents: np.ndarray) -> None:
        sizes.append(len(documents))
        real(self, documents)

    monkeypatch.setattr(Best, "add", watched)
    small = evaluate_retrieval(made(), trial(tiny))
    assert sizes == [8] * 5
    monkeypatch.undo()
    assert small.figures == evaluate_retrieval(made(), trial(tiny)).figures


def test_one_query_and_one_document(tiny: Embedder) -> None:
    data = as_retrieval(entries_of({"q": "red"}), entries_of({"d": "sea"}), judgements_of({"q": {"d": 1}}))
    found = evaluate_retrieval(data, trial(tiny))
    assert {(one.value, one.low, one.high) for one in found.figures if one.name != "precision@10"} == {(1, 1, 1)}
    assert "of 1 row: 30" in found.notes[0]
    assert found.hardest == []


def test_ten_documents_that_are_the_same_are_ranked_by_their_rows(tiny: Embedder) -> None:
    same = entries_of({f"d{n}": "red" for n in range(10)})
    data = as_retrieval(entries_of({"q": "red"}), same, judgements_of({"q": {"d4": 1}}))
    assert evaluate_retrieval(data, trial(tiny)).figure("mrr@10").value == 0.2
