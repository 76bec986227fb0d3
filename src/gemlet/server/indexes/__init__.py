"""Searches, answers, labels, groups and maps over HTTP: the library's chapters behind routes.   (JSON ↔ chapters)

shapes.py      what the routes over indexes take and give; textshapes.py: those over given texts
rooms.py       threads for what blocks
shared.py      the server's embedder as the chapters see one
opened.py      an index or a store for one request
served.py      one that may change or vanish while it is served; every.py: all that are
maps.py        its map, made in the background
finding.py     search, ask, status of an index
texts.py       classify, cluster and compare texts that are given
machine.py     how the server does
routes.py      all of it below /gemlet/
"""
