"""Names → prompts."""

import warnings

import pytest

from gemlet.errors import DoublePromptWarning, InputError, UnknownPrompt
from gemlet.prompts import CARD_PROMPTS, apply_prompts, document_prompts, find_prompt

OWN = {"query": "task: search result | query: ", "Retrieval-query": "q: ", "STS": "s: "}


def test_names_are_found_as_people_write_them() -> None:
    prompts = OWN | CARD_PROMPTS
    assert find_prompt(prompts, "query") == "task: search result | query: "
    assert find_prompt(prompts, "retrieval query") == "q: "
    assert find_prompt(prompts, "sts") == "s: "
    for name in ("question answering", "Question_Answering", "question-answering"):
        assert find_prompt(prompts, name) == "task: question answering | query: "
    assert find_prompt(prompts, "fact checking") == "task: fact checking | query: "


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownPrompt, match="'qurey'; available: query, Retrieval-query, STS"):
        find_prompt(OWN, "qurey")


def test_titles() -> None:
    assert document_prompts(["A", None, ""], 3) == ["title: A | text: ", "title: none | text: ", "title: none | text: "]
    with pytest.raises(InputError, match="2 titles for 3 documents"):
        document_prompts(["a", "b"], 3)


def test_a_second_prompt_is_warned_of_once() -> None:
    texts = ["plain", "task: search result | query: x", "title: none | text: y"]
    with pytest.warns(DoublePromptWarning, match="text 1 already begins with") as caught:
        assert apply_prompts(texts, ["p: "] * 3) == ["p: " + t for t in texts]
    assert len(caught) == 1


def test_prompted_texts_without_a_prompt_are_fine() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apply_prompts(["task: search result | query: x"], [""])
        apply_prompts(["the task: write a query"], ["p: "])
