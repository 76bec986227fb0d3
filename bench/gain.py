"""What training brought, and how sure that is: two models on a published classification task.   (→ table)

    python bench/gain.py --data-dir FOLDER --results RESULTS --tuned tuned --task Banking77Classification

MTEB's protocol: ten regressions, each on a few rows of every label. A text's figure is the share of the ten that told
it rightly; the texts are drawn again for the interval of the difference, the same ones for both models. --results is
the folder of `gemlet eval`: what it has kept is not embedded again.
"""

import argparse
from pathlib import Path

import numpy as np

from gemlet import Embedder
from gemlet.evaluation.protocols.labelled import Classification
from gemlet.evaluation.resampling import Sampled, difference_of, mean_of
from gemlet.evaluation.running import PublishedTasks, prompted
from gemlet.evaluation.tasks import TASKS
from gemlet.vectors import MATRYOSHKA_DIMS, normalize

BASE = "google/embeddinggemma-300m"


def main() -> None:
    """Measure both, print a line for each dimension."""
    options = parse()
    task = TASKS[options.task]
    measures = {part: one for part, one in task.load(options.data_dir / task.folder) if isinstance(one, Classification)}
    if not measures:
        raise SystemExit(f"{task.name} is no classification task")
    print("part       dim  before   after  difference    95% interval       p")
    for part, measure in measures.items():
        before, after = (told(model, measure, options) for model in (options.base, options.tuned))
        for dim in options.dims:
            gap = difference_of(before[dim], after[dim])
            was, now = 100 * before[dim].value, 100 * after[dim].value
            interval = f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f}"
            print(f"{part:9} {dim:4} {was:7.2f} {now:7.2f} {now - was:+11.2f}  {interval}  {gap.p:.4f}", flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="published data, a folder for each set")
    parser.add_argument("--results", type=Path, required=True, help="keeps vectors, as `gemlet eval --results` does")
    parser.add_argument("--task", default="Banking77Classification", choices=sorted(TASKS))
    parser.add_argument("--base", default=BASE, help="the model that was trained")
    parser.add_argument("--tuned", required=True, help="what came of it")
    parser.add_argument("--device", default="cpu", help="cuda: on a GPU, in float32")
    parser.add_argument("--dims", nargs="+", type=int, choices=MATRYOSHKA_DIMS, default=[768, 128])
    return parser.parse_args()


def told(model: str, measure: Classification, options: argparse.Namespace) -> dict[int, Sampled]:
    """For each dimension the mean over the texts of how often they are told rightly."""
    own = options.device == "cpu"
    embedder = Embedder(model, device=options.device, quantization=None if own else "f32", offline=True)
    kept = PublishedTasks(options.data_dir, options.results, embedder, model).vectors
    whole = [kept.of(prompted(embedder, one)) for one in measure.inputs()]
    found = {}
    for dim in options.dims:
        cut = [normalize(rows[:, :dim].copy()) for rows in whole]
        right = [np.equal(said, measure.test_labels) for said in measure.predictions(cut)]
        found[dim] = mean_of("accuracy", np.mean(right, axis=0))
    return found


if __name__ == "__main__":
    main()
