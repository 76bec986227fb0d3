"""Google's fine-tuning example: three triplets, five epochs, and what they do to a search for a savings account.

The notebook trains every parameter, the token embeddings too, with MultipleNegativesRankingLoss: the recipe's
contrastive loss alone, at the full length of the vector. Prints the scores of three titles before and after; the
notebook says 0.516, 0.504, 0.441 and 0.734, 0.341, 0.475. Needs gemlet[train], 8 GB of memory and some minutes.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from gemlet import Embedder
from gemlet.train import LossSettings, Settings, train

MODEL = sys.argv[1] if len(sys.argv) > 1 else "google/embeddinggemma-300m"
SAID = {"before": [0.516, 0.504, 0.441], "after": [0.734, 0.341, 0.475]}
MOST = 0.02

TRIPLETS = [
    (
        "How do I open a NISA account?",
        "What is the procedure for starting a new tax-free investment account?",
        "I want to check the balance of my regular savings account.",
    ),
    (
        "Are there fees for making an early repayment on a home loan?",
        "If I pay back my house loan early, will there be any costs?",
        "What is the management fee for this investment trust?",
    ),
    (
        "What is the coverage for medical insurance?",
        "Tell me about the benefits of the health insurance plan.",
        "What is the cancellation policy for my life insurance?",
    ),
]
QUERY = "I want to start a tax-free installment investment, what should I do?"
TITLES = ["Opening a NISA Account", "Opening a Regular Savings Account", "Home Loan Application Guide"]

SETTINGS = Settings(
    method="full",
    train_table=True,
    prompts=("STS", "STS"),
    batch=1,
    epochs=5,
    learning_rate=2e-5,
    seed=23,  # the order of rows that sentence-transformers draws from its seed, 42
    warmup=0.1,
    loss=LossSettings(hardness=0, spread_weight=0, dims=(768,)),
)


def scores(model: str | Path) -> np.ndarray:
    """Cosines of the query and each title, in float32."""
    embedder = Embedder(model, quantization="f32")
    query, titles = (embedder.encode(texts, prompt_name="STS") for texts in (QUERY, TITLES))
    return embedder.similarity(query, titles)[0]


with tempfile.TemporaryDirectory() as folder:
    rows = Path(folder) / "triplets.jsonl"
    lines = [json.dumps(dict(zip(("anchor", "positive", "negative"), row, strict=True))) for row in TRIPLETS]
    rows.write_text("\n".join(lines))
    before = scores(MODEL)
    train(MODEL, [rows], Path(folder) / "tuned", SETTINGS)
    after = scores(Path(folder) / "tuned")

for name, found in (("before", before), ("after", after)):
    print(f"{name}: {found.round(3).tolist()}; the notebook's: {SAID[name]}")
furthest = float(max(np.abs(before - SAID["before"]).max(), np.abs(after - SAID["after"]).max()))
print(f"at most {furthest:.3f} apart")
sys.exit(furthest > MOST)
