"""Labels, groups and comparisons of texts that are given.   (request → answer)

What does the work is imported when it is first asked for: most servers have vectors to give and nothing else.
"""

from gemlet.prompts import document_prompts, find_prompt
from gemlet.relevance import curve_for
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.server.indexes.textshapes import (
    ALIKE,
    SEARCHES,
    ClassifyAnswer,
    ClassifyRequest,
    ClusterAnswer,
    ClusterRequest,
    CompareAnswer,
    Compared,
    CompareRequest,
    Group,
    Labelled,
)

_BESIDES = 2  # tokens that are no text: <bos> and <eos>


def classified(request: ClassifyRequest, shared: SharedEmbedder) -> ClassifyAnswer:
    """Label texts by the labels' names. Raises InputError for labels that are empty or there twice."""
    from gemlet.classify.calibration import probabilities_of
    from gemlet.classify.zeroshot import check_labels, zero_shot_head

    names = check_labels(request.labels, request.descriptions)
    head = zero_shot_head(shared, names, request.descriptions, None)
    vectors = shared.encode(request.texts, prompt_name="classification")
    rows = probabilities_of(head.scores(vectors), False)
    results = [
        Labelled(
            label=names[int(row.argmax())],
            probability=round(float(row.max()), 4),
            probabilities=[round(one, 4) for one in row.tolist()],
        )
        for row in rows
    ]
    return ClassifyAnswer(labels=names, results=results)


def clustered(request: ClusterRequest, shared: SharedEmbedder) -> ClusterAnswer:
    """Put texts into groups. Raises InputError for texts that are all the same, and for more groups than texts."""
    from gemlet.clustering import cluster

    vectors = shared.encode(request.texts, prompt_name="clustering")
    found = cluster(vectors, request.k, seed=request.seed, texts=request.texts)
    silhouette = found.quality.silhouette
    return ClusterAnswer(
        clusters=[
            Group(name=name, words=words, size=size, examples=examples)
            for name, words, size, examples in zip(found.names, found.words, found.sizes, found.examples, strict=True)
        ],
        labels=found.labels.tolist(),
        anomaly=[round(one, 4) for one in found.anomaly.tolist()],
        silhouette=None if silhouette is None else round(silhouette, 4),
    )


def compared(request: CompareRequest, shared: SharedEmbedder) -> CompareAnswer:
    """Compare two texts with the prompt of every task."""
    prompts = [find_prompt(shared.prompts, task) for task in (*SEARCHES, *ALIKE)]
    document = document_prompts([None], 1)
    first = shared.encode([request.a] * len(prompts), prompt=prompts, truncate_dim=request.dimensions)
    second = shared.encode(
        [request.b] * (1 + len(ALIKE)), prompt=document + prompts[len(SEARCHES) :], truncate_dim=request.dimensions
    )
    width = first.shape[1]
    searches = [
        Compared(
            task=task,
            cosine=_rounded(a @ second[0]),
            probability=_rounded(curve_for(task, width, words=False).probability(second[:1] @ a)[0]),
            level=None,
        )
        for task, a in zip(SEARCHES, first, strict=False)
    ]
    alike = [
        Compared(
            task=task,
            cosine=_rounded(a @ b),
            probability=None,
            level=_level(float(a @ b), width) if task == "sentence similarity" else None,
        )
        for task, a, b in zip(ALIKE, first[len(SEARCHES) :], second[1:], strict=True)
    ]
    tokens = (shared.count_tokens([request.a, request.b]) - _BESIDES).tolist()
    return CompareAnswer(tasks=searches + alike, tokens=(tokens[0], tokens[1]))


def _level(cosine: float, dim: int) -> str:
    """How alike two texts are, by the levels of `gemlet dedupe`."""
    from gemlet.pairs.thresholds import LEVELS, threshold_for

    return next((level for level in LEVELS if cosine >= threshold_for(level, dim)), "different")


def _rounded(value: float) -> float:
    return round(float(value), 4)
