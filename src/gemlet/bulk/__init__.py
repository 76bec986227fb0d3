"""Large files → files of vectors, on one machine or many, exactly once.   (files → Parquet)

The input is cut into shards before anything else; each makes one file of the output, which is there whole or not at
all. Whoever makes a shard, makes the same bytes: a run that was killed goes on with those that are missing. Rows of
finished files may go into a store, too, where each is once.
"""

from gemlet.bulk.embedding import EmbedBatches
from gemlet.bulk.report import Listener, Pace, Report
from gemlet.bulk.running import run
from gemlet.bulk.settings import BulkPrecision, Model, Settings, Target
from gemlet.bulk.storing import Stored

__all__ = [
    "BulkPrecision",
    "EmbedBatches",
    "Listener",
    "Model",
    "Pace",
    "Report",
    "Settings",
    "Stored",
    "Target",
    "run",
]
