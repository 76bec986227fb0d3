"""What M says of an error in an embedding is what the vectors show of it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gemlet import sensitivity as room
from gemlet.checkpoint import read_checkpoint
from gemlet.sensitivity import _of_the_vectors, _Step, sensitivity
from gemlet.stream import Stream, calibration_ids


def vectors(stream: Stream, checkpoint: object, hidden: np.ndarray) -> np.ndarray:
    """Unit vectors [texts, dim] of the states `hidden` in front of the first layer."""
    stream.hidden = hidden.copy()
    for layer in range(len(stream.config["sliding"])):
        _Step(stream, layer).forward()
    normed = stream.norm(stream.hidden, "norm")
    means = np.stack([normed[b:e].mean(axis=0) for b, e in pairwise(stream.ends)])
    for file, _ in checkpoint.weights[1:]:
        means = means @ room._read(file, "linear.weight").T
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_the_gradient_is_the_slope(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    stream = Stream(checkpoint, [ids[:20] for ids in calibration_ids(checkpoint)[:3]])
    start = stream.hidden.copy()
    states = []
    for layer in range(len(stream.config["sliding"])):
        states.append(stream.hidden.copy())
        _Step(stream, layer).forward()
    gradient = _of_the_vectors(stream, checkpoint)
    for layer in reversed(range(len(states))):
        stream.hidden = states[layer]
        gradient = _Step(stream, layer).backward(gradient)

    random = np.random.default_rng(room.SEED)
    width = vectors(stream, checkpoint, start).shape[1]
    directions = np.stack([random.standard_normal(width, np.float32) for _ in stream.ends[1:]])
    for seed in range(5):
        change = np.random.default_rng(seed).standard_normal(start.shape).astype(np.float32)
        small = 1e-3 * np.abs(start).mean()
        ahead, back = (vectors(stream, checkpoint, start + sign * small * change) for sign in (1, -1))
        slopes = ((ahead - back) * directions).sum(axis=1) / (2 * small)
        for text, (begin, end) in enumerate(pairwise(stream.ends)):
            expected = (gradient[begin:end] * change[begin:end]).sum()
            assert slopes[text] == pytest.approx(expected, rel=0.02, abs=1e-3 * float(np.abs(gradient).max()))


def test_it_is_symmetric_and_positive(tiny_checkpoint: Path) -> None:
    told = []
    matrix = sensitivity(read_checkpoint(tiny_checkpoint), lambda done, of: told.append((done, of)))
    assert np.array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-6 * np.trace(matrix)
    assert told[-1][0] == told[-1][1]
