"""Which head is best with how many examples, and which way to put a label's name: accuracy in %, on rows of yours.

python bench/heads.py --train banking/train.csv --test banking/test.csv --label category
"""

import argparse
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from gemlet import Embedder
from gemlet.classify.heads import fit_head
from gemlet.classify.labels import targets_of
from gemlet.dataset import read_dataset

EXAMPLES = (1, 2, 3, 4, 6, 8, 16, 32, 64)
COUNTS = (1.0, 10.0, 100.0)
TEXT_PROMPTS = ("classification", "STS", "query")
LABEL_PROMPTS = ("classification", "STS", "query", "document", None)
SENTENCES = ("{}", "This text is about {}.", "This text is {}.")


def main() -> None:
    """Print both tables."""
    options = _options()
    rng = np.random.default_rng(options.seed)
    texts, labels = _rows(options.test, options, rng.permutation, options.rows)
    classes = sorted({*labels})
    embedder = Embedder(options.model)
    if options.train:
        known, their = _rows(options.train, options, rng.permutation, None)
        _heads(embedder, (known, their), (texts, labels), options.repeat, rng)
    _names(embedder, texts, labels, classes)


def _heads(embedder: Embedder, train: Any, test: Any, repeat: int, rng: np.random.Generator) -> None:
    """A line for each number of examples a label, the mean over draws of them."""
    classes = sorted({*train[1]})
    places = [np.flatnonzero(np.array(train[1]) == label)[: max(EXAMPLES) * 2] for label in classes]
    kept = np.concatenate(places)
    x = embedder.encode([train[0][row] for row in kept], prompt_name="classification")
    targets = targets_of([train[1][row] for row in kept], classes)
    asked, truth = embedder.encode(test[0], prompt_name="classification"), np.array(test[1])
    names = ["centroid", *(f"logistic, c={c:g}" for c in COUNTS), "auto"]
    print("examples  " + "  ".join(names))
    for count in EXAMPLES:
        if min(map(len, places)) < count:
            break
        found = []
        for _ in range(repeat):
            rows = np.concatenate([rng.permutation(np.flatnonzero(column))[:count] for column in targets.T])
            heads: Sequence[tuple[Any, float]] = [("centroid", 1), *(("logistic", c) for c in COUNTS), ("auto", 10)]
            fitted = [fit_head(x[rows], targets[rows], m, c=c, several=False, seed=0) for m, c in heads]
            found.append([(np.array(classes)[h.linear.scores(asked).argmax(axis=1)] == truth).mean() for h in fitted])
        cells = (f"{100 * share:{len(name)}.1f}" for name, share in zip(names, np.mean(found, axis=0), strict=True))
        print(f"{count:8}  " + "  ".join(cells), flush=True)


def _names(embedder: Embedder, texts: list[str], labels: list[str], classes: list[str]) -> None:
    """A line for each way to put a label's name, a column for each prompt of the texts."""
    x = {name: embedder.encode(texts, prompt_name=name) for name in TEXT_PROMPTS}
    print("\n" + " " * 44 + "  ".join(f"{name:>14}" for name in TEXT_PROMPTS))
    for sentence, prompt in product(SENTENCES, LABEL_PROMPTS):
        put = [sentence.format(label.replace("_", " ")) for label in classes]
        vectors = embedder.encode(put, prompt_name=prompt)
        shares = [(np.array(classes)[(x[n] @ vectors.T).argmax(axis=1)] == labels).mean() for n in TEXT_PROMPTS]
        print(f"{sentence:26}{prompt or 'no prompt':18}" + "  ".join(f"{100 * share:14.1f}" for share in shares))


def _rows(path: str, options: Any, shuffled: Any, count: int | None) -> tuple[list[str], list[str]]:
    """Texts and labels in random order, at most `count` of them."""
    data = read_dataset([path])
    texts, labels = data.texts(options.text), data.labels(options.label)
    order = shuffled(len(texts))[:count]
    return [texts[row] for row in order], [labels[row] for row in order]


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="rows to learn from; without it only names are tried")
    parser.add_argument("--test", required=True, help="rows to be judged by")
    parser.add_argument("--text", help="which column is the text")
    parser.add_argument("--label", help="which column is the label")
    parser.add_argument("--rows", type=int, default=200, help="of the test (default 200)")
    parser.add_argument("--repeat", type=int, default=5, help="draws of the examples (default 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    return parser.parse_args()


if __name__ == "__main__":
    main()
