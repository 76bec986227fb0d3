"""Tables, lines and folders → rows with texts and labels, and rows → files.   (paths → Dataset → path)"""

from gemlet.dataset.dataset import Dataset
from gemlet.dataset.reading import read_dataset
from gemlet.dataset.writing import Rows, open_rows, whole_file

__all__ = ["Dataset", "Rows", "open_rows", "read_dataset", "whole_file"]
