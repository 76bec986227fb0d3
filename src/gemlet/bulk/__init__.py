"""Large files → files of vectors, on one machine or many, exactly once.   (files → Parquet)

The input is cut into shards before anything else; each makes one file of the output, which is there whole or not at
all. Whoever makes a shard, makes the same bytes: a run that was killed goes on with those that are missing.
"""

from gemlet.bulk.embedding import EmbedBatches
from gemlet.bulk.report import Listener, Pace, Report
from gemlet.bulk.running import run
from gemlet.bulk.settings import BulkPrecision, Model, Settings

__all__ = ["BulkPrecision", "EmbedBatches", "Listener", "Model", "Pace", "Report", "Settings", "run"]
