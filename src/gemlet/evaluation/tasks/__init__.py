"""The published tasks that run on local data.   (a folder of data → what to measure)

    DATA/
    ├── STSBenchmark/           a folder for each data set, its files as their publisher lays them out
    ├── SciFact/                (docs/uses/published.md lists them)
    ├── ...
    ├── mteb_results_embeddinggemma.csv    published scores, if there are any to stand beside
    └── README.md                          a table of other models' scores, if there is one

task.py       what a task is
reading.py    files → rows, or one line about what is wrong
pairs.py      STS, paraphrases, translations
labelled.py   classification, clustering
retrieval.py  queries, documents and judgements

Numbers of rows and characters were compared with MTEB's own descriptive statistics; what came out is each task's
`basis`. Whether rows have MTEB's order is not known, and classification draws its examples by it.
"""

from collections.abc import Sequence
from pathlib import Path

from gemlet.errors import InputError
from gemlet.evaluation.tasks import labelled, pairs, retrieval
from gemlet.evaluation.tasks.task import Data, Load, Task

_CHARACTERS = "rows and characters are as many as MTEB's"
_SURFACE = "the pairs and the mean of the scores are MTEB's; its texts are some 2% longer, their punctuation set apart"

TASKS = {task.name: task for task in (
    Task("STSBenchmark", "STS", "STSBenchmark", pairs.sts_benchmark,
         "b0fddb56ed78048fa8b90373c8a3cfc37b684831", "equal", _CHARACTERS, languages={"default": ["eng-Latn"]}),
    Task("STS17", "STS", "STSBenchmark", pairs.sts17,
         "faeb762787bd10488a50c8b5be4a3b82e411949c", "equal", _CHARACTERS, parts=("en-en",),
         languages={"en-en": ["eng-Latn"]}),
    Task("STS12", "STS", "STS12", pairs.sts12,
         "a0d554a64d88156834ff5ae9920b964011b16384", "near", _SURFACE, languages={"default": ["eng-Latn"]}),
    Task("STS13", "STS", "STS13", pairs.semeval("headlines", "OnWN", "FNWN"),
         "7e90230a92c190f1bf69ae9002b8cea547a64cca", "near", _SURFACE, languages={"default": ["eng-Latn"]}),
    Task("STS14", "STS", "STS14",
         pairs.semeval("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
         "6031580fec1f6af667f0bd2da0a551cf4f0b2375", "near", _SURFACE, languages={"default": ["eng-Latn"]}),
    Task("SICK-R", "STS", "SICK-R", pairs.sick,
         "20a6d6f312dd54037fe07a32d58e5e168867909d", "equal", _CHARACTERS, languages={"default": ["eng-Latn"]}),
    Task("GermanSTSBenchmark", "STS", "GermanSTSBenchmark", pairs.german_sts,
         "e36907544d44c3a247898ed81540310442329e20", "equal", _CHARACTERS, languages={"default": ["deu-Latn"]}),
    Task("STSB", "STS", "STSB-zh", pairs.chinese_sts,
         "0cde68302b3541bb8b3c340dc0644b0b745b3dc0", "equal", _CHARACTERS, languages={"default": ["cmn-Hans"]}),
    Task("STSBenchmarkMultilingualSTS", "STS", "STSBenchmarkMultilingualSTS", pairs.multilingual_sts("nl"),
         "29afa2569dcedaaa2fe6a3dcfebab33d28b82e8c", "equal", _CHARACTERS, parts=("nl",),
         languages={"nl": ["nld-Latn"]}),
    Task("ArmenianParaphrasePC", "PairClassification", "ArmenianParaphrasePC", pairs.armenian,
         "f43b4f32987048043a8b31e5e26be4d360c2438f", "equal", _CHARACTERS, languages={"default": ["hye-Armn"]}),
    Task("Tatoeba", "BitextMining", "Tatoeba", pairs.tatoeba,
         "69e8f12da6e31d59addadda9a9c8a2e601a0e282", "equal", _CHARACTERS,
         parts=()),
    Task("NTREXBitextMining", "BitextMining", "NTREX", pairs.ntrex("deu_Latn-eng_Latn", "eng_Latn-deu_Latn"),
         "ed9a4403ed4adbfaf4aab56d5b2709e9f6c3ba33", "equal", _CHARACTERS,
         parts=("deu_Latn-eng_Latn", "eng_Latn-deu_Latn")),
    Task("Banking77Classification", "Classification", "Banking77", labelled.banking77,
         "0fd18e25b25c072e09e0d92ab615fda904d66300", "equal", _CHARACTERS, languages={"default": ["eng-Latn"]}),
    Task("AmazonCounterfactualClassification", "Classification", "AmazonCounterfactual", labelled.counterfactual,
         "e8379541af4e31359cca9fbcf4b00f2671dba205", "equal", _CHARACTERS, parts=("en", "en-ext", "de", "ja"),
         languages={"en": ["eng-Latn"], "en-ext": ["eng-Latn"], "de": ["deu-Latn"], "ja": ["jpn-Jpan"]}),
    Task("TweetSentimentExtractionClassification", "Classification", "TweetSentimentExtraction", labelled.tweets,
         "d604517c81ca91fe16a244d1248fc021f9ecee7a", "equal",
         _CHARACTERS + "; the one training row without a text is put back", languages={"default": ["eng-Latn"]}),
    Task("PoemSentimentClassification", "Classification", "PoemSentiment", labelled.poems,
         "329d529d875a00c47ec71954a1a96ae167584770", "equal", _CHARACTERS, languages={"default": ["eng-Latn"]}),
    Task("SIB200Classification", "Classification", "SIB200",
         labelled.sib200_classification("nld_Latn", "jpn_Jpan"),
         "a74d7350ea12af010cfb1c21e34f1f81fd2e615b", "equal", _CHARACTERS, parts=("nld_Latn", "jpn_Jpan")),
    Task("SIB200ClusteringS2S", "Clustering", "SIB200", labelled.sib200_clustering("eng_Latn", "deu_Latn"),
         "a74d7350ea12af010cfb1c21e34f1f81fd2e615b", "equal", _CHARACTERS, parts=("eng_Latn", "deu_Latn")),
    Task("XQuADRetrieval", "Retrieval", "XQuAD", retrieval.xquad("en", "th", "de", "ar", "zh"),
         "51adfef1c1287aab1d2d91b5bead9bcfb9c68583", "equal",
         _CHARACTERS + " once white space at the ends is gone",
         split="validation", parts=("en", "th", "de", "ar", "zh"),
         languages={"en": ["eng-Latn"], "th": ["tha-Thai"], "de": ["deu-Latn"], "ar": ["arb-Arab"],
                    "zh": ["zho-Hans"]}),
    Task("BelebeleRetrieval", "Retrieval", "Belebele",
         retrieval.belebele("eng_Latn-eng_Latn", "deu_Latn-deu_Latn", "deu_Latn-eng_Latn", "eng_Latn-deu_Latn"),
         "75b399394a9803252cfec289d103de462763db7c", "equal", _CHARACTERS,
         parts=("eng_Latn-eng_Latn", "deu_Latn-deu_Latn", "deu_Latn-eng_Latn", "eng_Latn-deu_Latn")),
    Task("SciFact", "Retrieval", "SciFact", retrieval.scifact,
         "0228b52cf27578f30900b9e5271d331663a030d7", "equal",
         "documents, queries and judgements are as many as MTEB's, the documents 23 characters in 7.8 million shorter",
         languages={"default": ["eng-Latn"]}),
    Task("MBPPRetrieval", "Retrieval", "MBPP", retrieval.mbpp,
         "586a1fd6a0c63fdeda3b49c0293559a81c79cdec", "equal", _CHARACTERS,
         languages={"default": ["eng-Latn", "python-Code"]}),
    Task("CosQA", "Retrieval", "CoSQA", retrieval.cosqa,
         "bc5efb7e9d437246ce393ed19d772e08e4a79535", "other",
         "MTEB's 20,604 documents are these 6,267, most of them more than once, with one of the copies taken as right",
         languages={"default": ["eng-Latn", "python-Code"]}),
)}  # fmt: skip
"""By name, in the order of the tables."""


def chosen(names: Sequence[str]) -> list[tuple[Task, str | None]]:
    """Each task that is named, and which part of it: "XQuADRetrieval" or "XQuADRetrieval/th". No names: all tasks.

    Raises InputError for a name or a part that there is not.
    """
    found = []
    for name in names or TASKS:
        task_name, _, part = name.partition("/")
        task = next((task for task in TASKS.values() if task.name.casefold() == task_name.casefold()), None)
        if task is None:
            raise InputError(f"there is no task {task_name!r}; there are {', '.join(TASKS)}")
        if part and task.parts and part not in task.parts:
            raise InputError(f"{task.name} has no part {part!r}; it has {', '.join(task.parts)}")
        found.append((task, part or None))
    return found


def present(data: Path, tasks: Sequence[tuple[Task, str | None]]) -> None:
    """Raise InputError, before anything runs, unless the folder of each task is there."""
    if not data.is_dir():
        raise InputError(f"there is no folder {data}: --data-dir names that with a folder for each data set")
    if absent := sorted({task.folder for task, _ in tasks if not (data / task.folder).is_dir()}):
        raise InputError(f"{data} has no folder {', '.join(absent)}: fetch that data, or name other tasks with --tasks")


__all__ = ["TASKS", "Data", "Load", "Task", "chosen", "present"]
