"""Files → an index of their passages, kept up to date.   (folders → store)

index.py        Index: what there is, and what it was made with
update.py       one run: look at every file, read what changed, forget what is gone
pipeline.py     embedding, with reading ahead of it and writing behind it
reading.py      a file → its passages, or why it has none
fingerprint.py  model, dimension, prompt, chunker: two that differ never share an index
watching.py     a run whenever something changes
places.py       names of indexes, roots, models
report.py       what a run tells
"""

from gemlet.index.index import Index
from gemlet.index.places import default_path
from gemlet.index.report import Listener, Pace, Report, Silence

__all__ = ["Index", "Listener", "Pace", "Report", "Silence", "default_path"]
