"""Other runtimes of the same model, one file each, run by an interpreter of their own.

A file has a class `Rival`: made with (model, threads, and options as text), its `encode` turns a list of str that carry
their prompts into unit vectors [n, 768] float32; its `version` says what was measured.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
LIMIT = 2048  # tokens of a text
