"""Whatever a caller holds becomes a list of str, or a clear refusal."""

import numpy as np
import pandas as pd
import pytest

from gemlet.errors import InputError
from gemlet.texts import as_texts


def test_one_text_or_many() -> None:
    assert as_texts("a") == (["a"], True)
    assert as_texts([]) == ([], False)
    many = ["a", "", "\0", "ß"]
    for form in (
        many,
        tuple(many),
        iter(many),
        (t for t in many),
        np.array(many),
        np.array(many, object),
        pd.Series(many),
    ):
        if isinstance(form, np.ndarray) and form.dtype.kind == "U":
            continue  # NumPy's fixed-width strings drop trailing NULs themselves
        assert as_texts(form) == (many, False)
    assert as_texts(np.array(["a", "bc"])) == (["a", "bc"], False)
    assert type(as_texts(np.array(["a"]))[0][0]) is str


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "not None"),
        (3, "not a int"),
        (b"bytes", "not a bytes"),
        ({"a": 1}, "not a dict"),
        (pd.DataFrame({"a": ["x"]}), "pass one column"),
        (["a", None], "text 1 is None"),
        (["a", "b", 3], "text 2 is a int"),
        ([b"a"], "text 0 is a bytes"),
        (pd.Series(["a", float("nan")], dtype=object), "text 1 is nan"),
        (np.array([["a"]]), "text 0 is a ndarray"),
    ],
)
def test_refusals_name_the_row(texts: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_texts(texts)


def test_surrogates() -> None:
    assert as_texts("a\ud800b")[0] == ["a\ufffdb"]
    assert as_texts("\udc00")[0] == ["\ufffd"]
    assert as_texts("\ud83d\ude00")[0] == ["😀"]
