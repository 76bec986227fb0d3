"""A document → passages that the model takes, each with its place.   (Document → list of Passage)

What fits stays whole: the document, else each section, else each paragraph; small neighbours are put together again.
"""

from gemlet.passages.passage import Count, Passage
from gemlet.passages.sentences import sentences
from gemlet.passages.splitting import CHUNKER, split

__all__ = ["CHUNKER", "Count", "Passage", "sentences", "split"]
