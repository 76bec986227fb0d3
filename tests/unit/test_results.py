"""Results in MTEB's own schema, read back, and the tables that they make."""

import json
from pathlib import Path

import pytest

from gemlet import InputError, MissingExtra
from gemlet.evaluation.chart import check_chart, draw_table
from gemlet.evaluation.pages import names_of, to_html, to_markdown
from gemlet.evaluation.published import Published, keep_published, kept_published, read_published
from gemlet.evaluation.results import Configuration, Result, read_results, write_result
from gemlet.evaluation.tables import Table, make_table
from gemlet.evaluation.tasks import TASKS

Q8, SHORT = Configuration("gemma", "q8_0", 768), Configuration("gemma", "q8_0", 256)


def write(folder: Path, setting: Configuration, task: str, **scores: float) -> Path:
    figures = {part.replace("_", "-"): {"main_score": value, "other": [value]} for part, value in scores.items()}
    return write_result(folder, setting, "abc", TASKS[task], figures, 1.5)


def test_a_result_lies_where_mteb_looks_and_has_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path, Q8, "STSBenchmark", default=0.88164612)
    assert path.relative_to(tmp_path).as_posix() == "gemma__q8_0__768/abc/STSBenchmark.json"
    value = json.loads(path.read_text())
    assert value["task_name"] == "STSBenchmark"
    assert value["dataset_revision"] == TASKS["STSBenchmark"].revision
    assert value["mteb_version"] is None
    assert value["scores"]["test"] == [
        {"hf_subset": "default", "languages": ["eng-Latn"], "main_score": 0.881646, "other": [0.881646]}
    ]
    assert value["gemlet"]["quantization"] == "q8_0"


def test_mteb_reads_what_is_written(tmp_path: Path) -> None:
    mteb = pytest.importorskip("mteb", reason="pip install mteb")
    write(tmp_path, Q8, "BelebeleRetrieval", **{"eng_Latn-eng_Latn": 0.5})
    result = mteb.results.TaskResult.from_disk(write(tmp_path, Q8, "STS17", en_en=0.9))
    assert result.get_score() == 0.9
    assert result.task_name == "STS17"


def test_parts_that_are_measured_later_join_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, Q8, "XQuADRetrieval", en=0.9, th=0.8)
    write(tmp_path, Q8, "XQuADRetrieval", th=0.7)
    (result,) = read_results(tmp_path)
    assert result == Result(Q8, "XQuADRetrieval", "validation", {"en": 90.0, "th": pytest.approx(70.0)})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task_name": "x", "scores": {"test": [{"main_score": 1}]}}'])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, Q8, "STS12", default=0.5)
    path.write_text(content)
    with pytest.raises(InputError, match=r"STS12\.json is no result of MTEB: delete it"):
        read_results(tmp_path)


CSV = """model,task,split,subset,main_score,metric
embeddinggemma-300m,STS12,test,default,0.8,cosine_spearman
embeddinggemma-300m,STS12,train,default,0.1,cosine_spearman
embeddinggemma-300m,AmazonCounterfactualClassification,test,en,0.9,accuracy
embeddinggemma-300m,AmazonCounterfactualClassification,test,de,0.7,accuracy
embeddinggemma-300m,CosQA,test,default,0.4,ndcg_at_10
embeddinggemma-300m,Unheard,test,default,0.4,ndcg_at_10
"""
README = """Words.

| task | split | subset | embeddinggemma-300m | rival-a | rival-b |
|---|---|---|---|---|---|
| STS12 | test | None | 80.00(1) | 81.50(1) | - |
| AmazonCounterfactualClassification | test | ['en'] | 90.00(1) | 91.00(1) | 70.00(4) |

| other | table |
"""


def test_published_scores_are_the_models_own_and_the_rivals(tmp_path: Path) -> None:
    (tmp_path / "mteb_results_embeddinggemma.csv").write_text(CSV)
    (tmp_path / "README.md").write_text(README)
    published = read_published(tmp_path)
    assert published.score("STS12", "test", ["default"]) == pytest.approx(80)
    assert published.score("AmazonCounterfactualClassification", "test", ["en", "de"]) == pytest.approx(80)
    assert published.score("AmazonCounterfactualClassification", "test", ["en", "ja"]) is None
    assert ("Unheard", "test", "default") not in published.own
    assert published.rival("rival-a", "STS12", "test", ["default"]) == 81.5
    assert published.rival("rival-a", "AmazonCounterfactualClassification", "test", ["en"]) == 91
    assert published.rival("rival-a", "AmazonCounterfactualClassification", "test", ["de"]) is None
    assert set(published.rivals) == {"rival-a"}  # the other's figure is the mean of four parts
    keep_published(tmp_path, published)
    assert kept_published(tmp_path) == published


def test_nothing_published_is_no_mistake_and_a_broken_file_is(tmp_path: Path) -> None:
    assert read_published(tmp_path) == kept_published(tmp_path) == Published()
    (tmp_path / "mteb_results_embeddinggemma.csv").write_text("task,split\n")
    with pytest.raises(InputError, match="has no column main_score, subset"):
        read_published(tmp_path)
    (tmp_path / "mteb_results_embeddinggemma.csv").write_text(CSV + "m,STS12,test,default,x,y\n")
    with pytest.raises(InputError, match="line 8: could not convert"):
        read_published(tmp_path)
    (tmp_path / "published.json").write_text("[]")
    with pytest.raises(InputError, match=r"published\.json is broken"):
        kept_published(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "mteb_results_embeddinggemma.csv").write_text(CSV)
    (tmp_path / "README.md").write_text(README)
    write(tmp_path, Q8, "STS12", default=0.81)
    write(tmp_path, SHORT, "STS12", default=0.79)
    write(tmp_path, Q8, "AmazonCounterfactualClassification", en=0.9, de=0.6)
    write(tmp_path, SHORT, "AmazonCounterfactualClassification", en=0.8, de=0.6)
    write(tmp_path, Q8, "CosQA", default=0.9)
    write(tmp_path, Q8, "Tatoeba", **{f"a{i:02}_eng": i / 10 for i in range(10)})
    return make_table(read_results(tmp_path), read_published(tmp_path))


def test_a_table_has_a_row_for_each_part_and_one_for_many(table: Table) -> None:
    assert table.settings == [Q8, SHORT]
    assert [row.name for row in table.rows] == [
        "STS12",
        "Tatoeba, 10 parts",
        "AmazonCounterfactualClassification, en",
        "AmazonCounterfactualClassification, de",
        "CosQA",
    ]
    assert table.rows[1].scores == {Q8: pytest.approx(45)}


def test_means_are_of_tasks_that_every_setting_has_and_differences_of_those_with_a_published_score(
    table: Table,
) -> None:
    means = {mean.name: mean for mean in table.means()}
    assert set(means) == {"STS", "Classification", "all"}  # the other two have one setting only
    assert means["Classification"].scores[Q8] == pytest.approx(75)
    assert means["all"].tasks == 2
    assert means["all"].scores[Q8] == pytest.approx((81 + 75) / 2)
    assert means["all"].published == pytest.approx((80 + 80) / 2)
    assert means["all"].differences[SHORT] == pytest.approx((-1 - 10) / 2)


def test_markdown_has_scores_with_differences_and_no_difference_where_the_data_are_others(table: Table) -> None:
    text = to_markdown(table)
    assert "## Scores at 768 numbers\n\n| task | published | q8_0 |" in text
    assert "| STS12 | 80.00 | 81.00 (+1.00) |" in text
    assert "| STS12 | 80.00 | 79.00 (-1.00) |" in text
    assert "| CosQA | 40.00 * | 90.00 |" in text
    assert "| mean of Classification (1) | 80.00 | 75.00 (-5.00) |" in text
    assert "| STS12 | 81.00 | 81.50 |" in text
    assert "no: not to be compared" in text


def test_the_first_table_says_what_each_setting_loses_against_the_first(table: Table) -> None:
    lines = to_markdown(table).split("## What a setting loses, over 2 tasks")[1].splitlines()[2:6]
    assert lines == [
        "| setting | mean | difference | STS (1) | Classification (1) |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| q8_0, 768 | 78.00 |  | 81.00 | 75.00 |",
        "| q8_0, 256 | 74.50 | -3.50 | -2.00 | -5.00 |",
    ]


def test_settings_go_from_long_and_exact_to_short_and_rounded_and_name_a_model_only_where_two_are_alike(
    tmp_path: Path,
) -> None:
    exact, small, other = (
        Configuration("gemma", "f32", 768),
        Configuration("small", "q4_0", 768),
        Configuration("tuned", "q8_0", 768),
    )
    for setting in (SHORT, small, other, Q8, exact):
        write(tmp_path, setting, "STS12", default=0.5)
    table = make_table(read_results(tmp_path), Published())
    assert table.settings == [exact, Q8, other, small, SHORT]
    assert list(names_of(table.settings).values()) == ["f32", "gemma q8_0", "tuned q8_0", "q4_0", "gemma q8_0"]


def test_html_has_the_same_cells_and_fetches_nothing(table: Table) -> None:
    page = to_html(table)
    assert "<td>81.00 (+1.00)</td>" in page
    assert "http" not in page
    assert "MTEB&#x27;s data?" in page


def test_a_picture_is_drawn_whole(table: Table, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_table(table, tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    draw_table(table, tmp_path / "t.svg")
    assert b"<svg" in (tmp_path / "t.svg").read_bytes()
    with pytest.raises(InputError, match=r"name a \.png or \.svg file"):
        draw_table(table, tmp_path / "t.gif")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[plot\]"):
        check_chart("a.png")


def test_no_results_make_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results to make a table of"):
        make_table(read_results(tmp_path), Published())
