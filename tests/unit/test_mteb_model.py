"""gemlet as mteb's model: by mteb's protocol, with a stand-in for its batches; by mteb itself where it is installed."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemlet import Embedder, InputError, MissingExtra
from gemlet.evaluation.mteb_model import GemletModel, prompt_of
from gemlet.evaluation.mteb_run import run_by_name
from gemlet.evaluation.protocols import Classification, Retrieval, Similarity
from gemlet.evaluation.results import read_results

TEXTS = ["a cat sleeps", "the rain falls", "he sold a boat", "trains are late"]


def metadata(kind: str, name: str = "Some") -> Any:
    return SimpleNamespace(name=name, type=kind, modalities=["text"])


def encode(model: GemletModel, kind: str, side: Any = None, batches: Any = None) -> Any:
    batches = batches or [{"text": TEXTS[:3]}, {"text": TEXTS[3:]}]
    return model.encode(batches, task_metadata=metadata(kind), hf_split="test", hf_subset="default", prompt_type=side)


@pytest.mark.parametrize(
    ("kind", "side", "prompt"),
    [
        ("STS", None, "task: sentence similarity | query: "),
        ("PairClassification", None, "task: sentence similarity | query: "),
        ("Classification", None, "task: classification | query: "),
        ("Clustering", None, "task: clustering | query: "),
        ("BitextMining", None, "task: search result | query: "),
        ("Summarization", None, "task: summarization | query: "),
        ("Retrieval", "query", "task: search result | query: "),
        ("Retrieval", "document", "title: none | text: "),
        ("Reranking", "query", "task: search result | query: "),
        ("InstructionRetrieval", "query", "task: code retrieval | query: "),
        ("Unheard", "document", "title: none | text: "),
        ("Unheard", None, ""),
    ],
)
def test_prompts_are_chosen_as_mteb_chooses_them(tiny: Embedder, kind: str, side: str | None, prompt: str) -> None:
    model = GemletModel(embedder=tiny)
    kinds = SimpleNamespace(value=side) if side else None
    assert np.array_equal(encode(model, kind, kinds), tiny.encode([prompt + text for text in TEXTS]))


def test_a_tasks_own_prompt_goes_before_its_kinds() -> None:
    prompts = {"STS": "kind", "STS12": "task", "STS12-query": "side", "document": "last"}
    assert prompt_of(prompts, "STS12", "STS", "query") == "side"
    assert prompt_of(prompts, "STS12", "STS", None) == "task"
    assert prompt_of(prompts, "STS13", "STS", "query") == "kind"
    assert prompt_of(prompts, "SciFact", "Retrieval", "document") == "last"


def test_tatoeba_has_the_prompt_that_its_published_scores_come_out_with() -> None:
    prompts = {"BitextMining": "kind", "sentence similarity": "published"}
    assert prompt_of(prompts, "Tatoeba", "BitextMining", None) == "published"
    assert prompt_of(prompts, "NTREXBitextMining", "BitextMining", None) == "kind"


def test_a_title_is_read_where_mteb_has_put_it(tiny: Embedder) -> None:
    batch = {"id": ["1"], "text": ["On cats They sleep."], "title": ["On cats"], "body": ["They sleep."]}
    rows = encode(GemletModel(embedder=tiny), "Retrieval", "document", [batch])
    assert np.array_equal(rows[0], tiny.encode("title: none | text: On cats They sleep."))


def test_dimension_and_cosines_are_the_embedders(tiny_checkpoint: Path) -> None:
    model = GemletModel(str(tiny_checkpoint))
    rows = encode(model, "STS")
    assert np.array_equal(model.similarity(rows, rows), model.embedder.similarity(rows, rows))
    assert model.similarity_pairwise(rows, rows) == pytest.approx(np.ones(4))


def test_what_it_cannot_run_is_refused(tiny: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="gemlet runs on the CPU"):
        GemletModel(embedder=tiny, device="cuda")
    with pytest.raises(InputError, match="Some has image and no text"):
        encode(GemletModel(embedder=tiny), "STS", None, [{"image": [1]}])
    for name in ("mteb", "mteb.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"gemlet\[eval\]"):
        _ = GemletModel(embedder=tiny).mteb_model_meta
    with pytest.raises(MissingExtra, match=r"gemlet\[eval\]"):
        run_by_name(["STS12"], GemletModel(embedder=tiny), Path())


@pytest.fixture
def mteb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """mteb without the network; its own and its dependencies' warnings are theirs."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    return pytest.importorskip("mteb", reason="pip install mteb")


WORDS = ["cat dog bird fish", "rain snow wind sun", "red blue green gold"]
LABELLED = [(f"{WORDS[i % 3].split()[i % 4]} {WORDS[i % 3]} number {i}", i % 3) for i in range(60)]


def local_task(mteb: Any, kind: str, name: str, main: str, load: Any) -> Any:
    """A task whose data are made here."""
    base = {"STS": "AbsTaskSTS", "Classification": "AbsTaskClassification", "Retrieval": "AbsTaskRetrieval"}[kind]
    meta = mteb.TaskMetadata(
        name=name, description="made", type=kind, dataset={"path": "local/none", "revision": "1"}, category="t2t",
        eval_splits=["test"], eval_langs=["eng-Latn"], main_score=main, date=None, domains=None, task_subtypes=None,
        license=None, annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation="",
        modalities=["text"], reference=None,
    )  # fmt: skip

    def load_data(self: Any, **_: Any) -> None:
        self.dataset = load()
        self.data_loaded = True

    members = {"metadata": meta, "load_data": load_data}
    if kind == "STS":
        members |= {"min_score": 0, "max_score": 5}
    return type(name, (getattr(mteb.abstasks, base),), members)()


def score_of(mteb: Any, tiny: Embedder, task: Any) -> float:
    (result,) = mteb.evaluate(GemletModel(embedder=tiny), [task], cache=None).task_results
    return float(result.get_score())


def own_score(tiny: Embedder, measure: Any) -> float:
    vectors = [tiny.encode(inputs.texts, prompt_name=inputs.prompt_name) for inputs in measure.inputs()]
    return float(measure.score(vectors)["main_score"])


@pytest.mark.filterwarnings("ignore")
def test_mteb_and_the_protocols_here_come_to_the_same_scores(mteb: Any, tiny: Embedder) -> None:
    from datasets import Dataset, DatasetDict

    texts = [text for text, _ in LABELLED]
    scores = [float(i * 7 % 11) / 2 for i in range(30)]
    pairs = {"sentence1": texts[:30], "sentence2": texts[30:], "score": scores}
    task = local_task(
        mteb, "STS", "MadeSTS", "cosine_spearman", lambda: DatasetDict({"test": Dataset.from_dict(pairs)})
    )
    assert score_of(mteb, tiny, task) == pytest.approx(
        own_score(tiny, Similarity(texts[:30], texts[30:], scores)), abs=1e-6
    )

    def rows(part: list[tuple[str, int]]) -> Any:
        return Dataset.from_dict({"text": [text for text, _ in part], "label": [label for _, label in part]})

    train, test = LABELLED[:45], LABELLED[45:]
    task = local_task(
        mteb, "Classification", "MadeClassification", "accuracy",
        lambda: DatasetDict({"train": rows(train), "test": rows(test)}),
    )  # fmt: skip
    measure = Classification(
        [t for t, _ in train],
        [str(label) for _, label in train],
        [t for t, _ in test],
        [str(label) for _, label in test],
    )
    assert score_of(mteb, tiny, task) == pytest.approx(own_score(tiny, measure), abs=1e-6)

    documents = [{"id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts[:40])]
    queries = [{"id": f"q{i}", "text": text} for i, text in enumerate(texts[40:50])]
    grades = [{i: 1, i + 3: 1} for i in range(10)]
    relevant = {f"q{i}": {f"d{row}": 1 for row in grade} for i, grade in enumerate(grades)}
    split = {"corpus": Dataset.from_list(documents), "queries": Dataset.from_list(queries), "relevant_docs": relevant}
    task = local_task(
        mteb, "Retrieval", "MadeRetrieval", "ndcg_at_10", lambda: {"default": {"test": {**split, "top_ranked": None}}}
    )
    found = Retrieval(texts[40:50], texts[:40], grades, [row["id"] for row in documents])
    assert score_of(mteb, tiny, task) == pytest.approx(own_score(tiny, found), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_name_that_mteb_does_not_know_is_said_in_a_line(mteb: Any, tiny: Embedder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mteb has no task and no benchmark 'STS99'"):
        run_by_name(["STS99"], GemletModel(embedder=tiny), tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_task_by_name_is_written_beside_the_others(
    mteb: Any, tiny: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset, DatasetDict

    pairs = {"sentence1": TEXTS, "sentence2": TEXTS[::-1], "score": [1.0, 2.0, 3.0, 4.5]}
    task = local_task(mteb, "STS", "STS12", "cosine_spearman", lambda: DatasetDict({"test": Dataset.from_dict(pairs)}))
    monkeypatch.setattr(mteb, "get_task", lambda name: task)
    (path,) = run_by_name(["STS12"], GemletModel(tiny.name, embedder=tiny), tmp_path)
    assert path.name == "STS12.json"
    (result,) = read_results(tmp_path)
    assert (result.task, result.setting.quantization) == ("STS12", "q8_0")
