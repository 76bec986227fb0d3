"""How much of a clustering task's score is the draw: MTEB's protocol with other seeds than its 42.   (→ table)

    python bench/seeds.py --data-dir FOLDER --results RESULTS --task SIB200ClusteringS2S --quantization f32

--results is the folder of `gemlet eval`: what it has kept is not embedded again.
"""

import argparse
from pathlib import Path

import numpy as np

from gemlet import Embedder
from gemlet.evaluation.protocols import labelled
from gemlet.evaluation.running import PublishedTasks, prompted
from gemlet.evaluation.tasks import TASKS

MODEL = "google/embeddinggemma-300m"


def main() -> None:
    """Print the score with MTEB's seed and what others give, for each part of the task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="published data, a folder for each set")
    parser.add_argument("--results", type=Path, required=True, help="keeps vectors, as `gemlet eval --results` does")
    parser.add_argument("--task", default="SIB200ClusteringS2S", choices=sorted(TASKS))
    parser.add_argument("--part", help="of the task; default: all")
    parser.add_argument("--quantization", default="q8_0", choices=["f32", "bf16", "q8_0"])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    embedder = Embedder(MODEL, quantization=options.quantization, offline=True)
    kept = PublishedTasks(options.data_dir, options.results, embedder, MODEL).vectors
    task, published = TASKS[options.task], labelled.SEED
    print(f"part       with {published}   mean of {options.seeds}   deviation   least    most")
    for part, measure in task.load(options.data_dir / task.folder):
        if options.part not in (None, part) or not isinstance(measure, labelled.Clustering):
            continue
        (inputs,) = measure.inputs()
        vectors = kept.of(prompted(embedder, inputs))
        scores = []
        for seed in (published, *range(options.seeds)):
            labelled.SEED = seed
            scores.append(100 * float(measure.score([vectors])["main_score"]))
        first, *others = scores
        print(
            f"{part:9} {first:8.2f} {np.mean(others):12.2f} {np.std(others, ddof=1):11.2f} {min(others):7.2f} "
            f"{max(others):7.2f}"
        )


if __name__ == "__main__":
    main()
