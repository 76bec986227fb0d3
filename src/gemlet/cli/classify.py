"""`gemlet classify`: rows → their labels, from names of labels, from examples, or by a saved classifier."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.options import dataset_options, dim_option, load, model_options, read_rows
from gemlet.dataset import open_rows
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.classify import Classifier, Report
    from gemlet.dataset import Dataset
    from gemlet.embedder import Embedder

EPILOG = """\b
Examples:
  gemlet classify inbox.csv --labels "spam,not spam"
  gemlet classify inbox.csv --labels "spam,ham" --describe "ham=a message from a friend or colleague"
  gemlet classify inbox.csv --train sorted.csv -o inbox-sorted.csv
  gemlet classify --train sorted.csv --save spam.classifier
  gemlet classify inbox.csv --classifier spam.classifier --unsure-below 0.7
  gemlet classify sorted.csv --report --picture confusion.png
\b
A FILE is CSV, TSV, JSON, JSON lines, Parquet, lines of text, a folder (a row for
each file; its label is the folder below), or - for stdin. The output adds the
columns `label` and `probability`; where the rows have such a column already, they
are called `predicted_label` and `predicted_probability`.
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--labels", "names", multiple=True, metavar="A,B,...", help="Choose by the names alone. Repeat it for each label "
    "when one has a comma in it.",
)  # fmt: skip
@click.option(
    "--describe", "descriptions", multiple=True, metavar="LABEL=PHRASE", help="With --labels: what such a text is."
)
@click.option("--train", multiple=True, metavar="FILE", help="Learn from these rows.")
@click.option("--label", "label_column", metavar="COLUMN", help="Which column is the label.  [default: by its name]")
@click.option("--classifier", "classifier_path", metavar="FILE", help="Use what --save wrote.")
@click.option("--save", metavar="FILE", help="Keep what was learned, for --classifier.")
@click.option(
    "--report", is_flag=True, help="Compare with the label column of FILE. Where FILE is also what to learn from, each "
    "row is judged by a classifier that has not seen it (five folds).",
)  # fmt: skip
@click.option("--picture", metavar="FILE", help="With --report: the confusion matrix as .png or .svg (extra `plot`).")
@click.option(
    "--method", type=click.Choice(["auto", "logistic", "centroid"]), default="auto", show_default=True,
    help="How to learn; auto takes the better one on rows that are held out.",
)  # fmt: skip
@click.option("--multi-label", is_flag=True, help='A row has any number of labels: a JSON array, or "a|b".')
@click.option(
    "--unsure-below", type=click.FloatRange(0, 1), metavar="P", help="Leave the label empty below this probability."
)
@click.option("-o", "--output", metavar="FILE", help="All rows: .csv, .tsv, .json, .jsonl, .parquet; - is stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the folds.")
@dataset_options
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    label_column: str | None,
    report: bool,
    picture: str | None,
    output: str | None,
    as_json: bool,
    text_column: str | None,
    skip_empty: bool,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
    **how: Any,
) -> None:
    """Say which label each row of FILE has.

    The labels come from their names (--labels), from examples (--train) or from a saved classifier (--classifier).
    """
    report = report or picture is not None
    _check(files, report, picture, output, **how)
    from gemlet.cli import classified

    data = read_rows(files, text_column, skip_empty) if files else None
    texts = _texts(data, text_column) if data else []
    truth = _labels(data, label_column, how["multi_label"]) if data and report else None
    same = not how["train"] or [os.path.realpath(path) for path in how["train"]] == [*map(os.path.realpath, files)]
    train = data if same else read_rows(how["train"], text_column, skip_empty)
    examples = None
    if not how["names"] and not how["classifier_path"]:
        assert train is not None
        examples = (_texts(train, text_column), _labels(train, label_column, how["multi_label"]))
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(open_rows(output, classified.columns_of(data))) if output and data else None
        classifier = _untrained(load(model, quantization, threads, offline), **how)
        vectors: Any = classifier.vectors(texts, show_progress_bar=sys.stderr.isatty()) if data else None
        if examples:
            seen = vectors if same else classifier.vectors(examples[0], show_progress_bar=sys.stderr.isatty())
            classifier.fit(seen, examples[1])
        if how["save"]:
            classifier.save(how["save"])
        if data is None:
            classified.say_learned(classifier, how["save"])
            return
        held_out = bool(examples) and same
        found = _judged(classifier, vectors, truth, held_out)
        if picture and found:
            from gemlet.classify import draw

            draw(found, picture)
        probabilities = classifier.held_out_ if held_out else classifier.predict_proba(vectors)
        assert probabilities is not None
        rows = classified.Classified(data, texts, classifier, probabilities)
        if writer:
            rows.write(writer)
    if as_json:
        rows.print_json(found)
    elif found:
        classified.print_report(found, classifier, held_out)
    elif not output:
        rows.print_table()


def _check(
    files: tuple[str, ...],
    report: bool,
    picture: str | None,
    output: str | None,
    *,
    names: tuple[str, ...],
    descriptions: tuple[str, ...],
    train: tuple[str, ...],
    classifier_path: str | None,
    save: str | None,
    multi_label: bool,
    unsure_below: float | None,
    method: str,
    dim: str | None,
    **_: Any,
) -> None:
    """Raise UsageError for options that do not go together, before anything is read."""
    options = (("--labels", names), ("--train", train), ("--classifier", classifier_path))
    given = [name for name, value in options if value]
    learns = not names and not classifier_path
    wrong = {
        f"{' and '.join(given)}: the labels come from one of them": len(given) > 1,
        'say what the labels are: --labels "A,B", --train FILE or --classifier FILE': not given and not report,
        "name a FILE with rows; without one, --train FILE --save FILE learns and keeps it": not files
        and (report or output or not (train and save)),
        "--describe says more of a label of --labels: name the labels there": descriptions and not names,
        "--save keeps what was learned, and --classifier has it already: leave one out": save and classifier_path,
        "--method says how to learn from examples: leave it out": method != "auto" and not learns,
        "--classifier has vectors of its own length: leave --dim out": dim and classifier_path,
        "--multi-label learns from rows with several labels, and finds the probability from which on each is said: "
        "leave --labels, --classifier and --unsure-below out": multi_label and (not learns or unsure_below is not None),
    }
    for message, is_so in wrong.items():
        if is_so:
            raise click.UsageError(message)
    _check_outputs(save, picture, multi_label)


def _check_outputs(save: str | None, picture: str | None, several: bool) -> None:
    """Raise for what cannot be written, before there is anything to lose."""
    for path in (save, picture):
        if path and not os.path.isdir(os.path.dirname(path) or "."):
            raise InputError(f"cannot write {path}: there is no folder {os.path.dirname(path)}")
    if picture:
        from gemlet.classify import check_picture

        if several:
            raise click.UsageError("rows with several labels have no confusion matrix to draw: leave --picture out")
        check_picture(picture)


def _untrained(embedder: "Embedder", **how: Any) -> "Classifier":
    """The classifier of the options; from examples it has still to learn."""
    from gemlet.classify import Classifier

    if how["classifier_path"]:
        return Classifier.load(how["classifier_path"], embedder, unsure_below=how["unsure_below"])
    dim = int(how["dim"]) if how["dim"] else None
    if how["names"]:
        names = how["names"] if len(how["names"]) > 1 else how["names"][0].split(",")
        described = dict(_described(pair) for pair in how["descriptions"])
        return Classifier.zero_shot(
            names, described, model=embedder, unsure_below=how["unsure_below"], truncate_dim=dim
        )
    return Classifier(
        embedder,
        method=how["method"],
        multi_label=how["multi_label"],
        unsure_below=how["unsure_below"],
        truncate_dim=dim,
        seed=how["seed"],
    )


def _described(pair: str) -> tuple[str, str]:
    name, equals, phrase = pair.partition("=")
    if not equals:
        raise InputError(f'--describe {pair!r} says of no label what it is: write --describe "LABEL=a phrase"')
    return name.strip(), phrase.strip()


def _texts(data: "Dataset", column: str | None) -> list[str]:
    """The texts; what has only one column has them there, whatever the other file's is called."""
    return data.texts(column if len(data.columns) > 1 else None)


def _labels(data: "Dataset", column: str | None, several: bool) -> Sequence[Any]:
    return data.label_sets(column) if several else data.labels(column)


def _judged(classifier: "Classifier", vectors: Any, truth: Sequence[Any] | None, held_out: bool) -> "Report | None":
    """The report, where one is wanted; by rows that were held out where the classifier learned from the same."""
    if truth is None:
        return None
    if not held_out:
        return classifier.evaluate(vectors, truth)
    if classifier.validation_ is None:
        raise InputError(
            "no label has two examples, so none can be held out to judge by: add rows, or name others with --train"
        )
    return classifier.validation_
