"""One's own data, measured with every setting of a trial.   (Retrieval, Pairs, Labelled → Evaluation)

Each kind of data is embedded with the prompt that the model was trained with for it: queries and documents with titles,
sentence similarity, classification and clustering.
"""

import numpy as np

from gemlet.classify import Classifier
from gemlet.clustering import cluster
from gemlet.clustering.quality import v_measure
from gemlet.evaluation import hardest, metrics
from gemlet.evaluation.comparison import Evaluation, Outcome, evaluation_of
from gemlet.evaluation.embedding import Trial, encoders
from gemlet.evaluation.exact import Best
from gemlet.evaluation.metrics import Codes, Ranked, Values
from gemlet.evaluation.own import Labelled, Pairs, Retrieval
from gemlet.evaluation.resampling import Rows, Sampled, mean_of
from gemlet.evaluation.settings import Setting, cut

DEPTH = 100
"""Documents that are ranked for each query."""

_DEFAULT = Trial()


def evaluate_retrieval(data: Retrieval, trial: Trial = _DEFAULT, *, k: int = 10, task: str = "query") -> Evaluation:
    """Rank all documents for each query: nDCG@k, recall@k, recall@100, precision@k, MRR@k and MAP@100.

    k     how many places count, up to 100
    task  the name of the queries' prompt: "query", "question answering", "fact checking", "code retrieval", ...

    The first figure is the one that is recommended by. Raises InputError, ModelError and its kin, OutputError.
    """
    outcomes: dict[Setting, Outcome] = {}
    base = np.empty((0, 0), np.intp)
    queries = [query.text for query in data.queries]
    for encoder in encoders(trial, len(queries) + len(data.documents)):
        asked = encoder.texts(queries, task)
        best = {one: Best(cut(asked, one.dim), min(DEPTH, len(data.documents))) for one in encoder.settings}
        for block in encoder.documents(data.documents):
            for setting, ranking in best.items():
                ranking.add(cut(block, setting.dim))
        for setting, ranking in best.items():
            outcomes[setting] = Outcome(_ranking_figures(data, ranking.rows, k), encoder.quantization)
        base = best[trial.base].rows if trial.base in best else base
    hard = hardest.of_retrieval(data, base, metrics.ndcg(base, data.grades, k))
    judged = sum(len(grade) for grade in data.grades)
    what = f"{len(queries)} queries, {len(data.documents)} documents, {judged} judgements"
    return evaluation_of("retrieval", what, trial, outcomes, hard, data.notes)


def _ranking_figures(data: Retrieval, rows: Ranked, k: int) -> list[Sampled]:
    grades = data.grades
    deep = {f"recall@{DEPTH}": metrics.recall(rows, grades, DEPTH)} if k < DEPTH < len(data.documents) else {}
    each = {
        f"ndcg@{k}": metrics.ndcg(rows, grades, k),
        f"recall@{k}": metrics.recall(rows, grades, k),
        **deep,
        f"precision@{k}": metrics.precision(rows, grades, k),
        f"mrr@{k}": metrics.reciprocal_rank(rows, grades, k),
        f"map@{DEPTH}": metrics.ranked_precision(rows, grades, DEPTH),
    }
    return [mean_of(name, values) for name, values in each.items()]


def evaluate_pairs(data: Pairs, trial: Trial = _DEFAULT) -> Evaluation:
    """Compare cosines with what people said: Spearman, Pearson; of 0 and 1 average precision, best F1, best accuracy.

    Raises InputError, ModelError and its kin, OutputError.
    """
    outcomes: dict[Setting, Outcome] = {}
    base = np.empty(0)
    size = len(data.left)
    for encoder in encoders(trial, 2 * size):
        vectors = encoder.texts([*data.left, *data.right], "sentence similarity")
        for setting in encoder.settings:
            own = cut(vectors, setting.dim)
            cosines = np.einsum("ij,ij->i", own[:size], own[size:], dtype=np.float64)
            outcomes[setting] = Outcome(_pair_figures(data, cosines), encoder.quantization)
            base = cosines if setting == trial.base else base
    what = f"{size} pairs, scores {data.scores.min():g} to {data.scores.max():g}"
    return evaluation_of("pairs", what, trial, outcomes, hardest.of_pairs(data, base), [])


def _pair_figures(data: Pairs, cosines: Values) -> list[Sampled]:
    truth, size = data.scores, len(cosines)
    correlations = [
        Sampled("spearman", size, lambda rows: metrics.spearman(truth[rows], cosines[rows]), least=-1),
        Sampled("pearson", size, lambda rows: metrics.pearson(truth[rows], cosines[rows]), least=-1),
    ]
    if not data.binary:
        return correlations

    def of_positives(rows: Rows) -> float:
        some = truth[rows].any()  # without one there is no recall
        return metrics.average_precision(truth[rows], cosines[rows]) if some else float("nan")

    return [
        Sampled("average_precision", size, of_positives),
        Sampled("best_f1", size, lambda rows: metrics.best_f1(truth[rows], cosines[rows])),
        Sampled("best_accuracy", size, lambda rows: metrics.best_accuracy(truth[rows], cosines[rows])),
        *correlations,
    ]


def evaluate_labels(data: Labelled, trial: Trial = _DEFAULT) -> Evaluation:
    """Tell the labels by classifiers that have not seen the text (five folds), and by clusters, as many as labels.

    Accuracy, macro F1, V-measure. Raises InputError, ModelError and its kin, OutputError.
    """
    outcomes: dict[Setting, Outcome] = {}
    truth = np.unique(data.labels, return_inverse=True)[1].reshape(-1)
    hard: list[hardest.Hard] = []
    alone = 0
    for encoder in encoders(trial, 2 * len(data.texts)):
        to_tell, to_group = (encoder.texts(data.texts, prompt) for prompt in ("classification", "clustering"))
        for setting in encoder.settings:
            classifier = Classifier(truncate_dim=setting.dim, seed=trial.seed)
            classifier.fit(cut(to_tell, setting.dim), data.labels)
            groups = cluster(cut(to_group, setting.dim), int(truth.max()) + 1, seed=trial.seed).labels
            held_out = classifier.held_out_
            assert held_out is not None
            alone = int(np.isnan(held_out[:, 0]).sum())
            outcomes[setting] = Outcome(_label_figures(truth, held_out, groups), encoder.quantization)
            if setting == trial.base:
                hard = hardest.of_labels(data, held_out, classifier.classes_.tolist())
    what = f"{len(data.texts)} texts, {int(truth.max()) + 1} labels"
    return evaluation_of("labels", what, trial, outcomes, hard, _singles(alone))


def _label_figures(truth: Codes, held_out: Values, groups: Codes) -> list[Sampled]:
    kept = ~np.isnan(held_out[:, 0])
    is_so, said = truth[kept], held_out[kept].argmax(axis=1)
    return [
        mean_of("accuracy", (is_so == said).astype(np.float64)),
        Sampled("macro_f1", len(said), lambda rows: metrics.macro_f1(is_so[rows], said[rows])),
        Sampled("v_measure", len(truth), lambda rows: v_measure(truth[rows], groups[rows])),
    ]


def _singles(alone: int) -> list[str]:
    if not alone:
        return []
    texts = (
        "1 text is the only one of its label and is"
        if alone == 1
        else f"{alone} texts are alone with their label and are"
    )
    return [f"{texts} left out of accuracy and F1: give such a label a second text"]
