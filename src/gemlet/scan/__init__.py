"""Vectors in bytes → the nearest passages, and the file that is read for it.   (vectors → ids, cosines)

layout.py    how the file is laid out, and what tells a whole one from a damaged one
writing.py   vectors → the file, whole or not at all
scanfile.py  ScanFile: the mapped file, and the search in it
"""

from gemlet.scan.scanfile import ScanFile, quantise

__all__ = ["ScanFile", "quantise"]
