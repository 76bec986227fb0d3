"""Vectors and texts → a map: a picture, or a page to walk around in.   (vectors → positions → Chart → HTML, PNG, SVG)

positions.py  places on a plane, by PCA or UMAP
chart.py      what a map shows
colours.py    of its groups
webpage.py    one HTML file; its parts are in page/
picture.py    PNG and SVG
"""

from gemlet.layout.chart import Chart, Grouping, grouping_of
from gemlet.layout.picture import KINDS, write_picture
from gemlet.layout.positions import Method, positions_of
from gemlet.layout.webpage import data_of, html_of, map_parts

__all__ = [
    "KINDS",
    "Chart",
    "Grouping",
    "Method",
    "data_of",
    "grouping_of",
    "html_of",
    "map_parts",
    "positions_of",
    "write_picture",
]
