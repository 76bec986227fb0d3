"""Folders → the files in them that are worth reading.   (path → stamps)

What is left out: what a .gitignore or .gemletignore says, on the way down and, in a Git repository, above; hidden files
and folders, node_modules, __pycache__, virtual environments and folders marked as caches (CACHEDIR.TAG); symbolic
links, unless they are to be followed; devices, pipes and sockets. A pattern with "!" in .gemletignore takes a file in.
"""

from gemlet.folders.walk import Stamp, Walk, shown, stamp_of

__all__ = ["Stamp", "Walk", "shown", "stamp_of"]
