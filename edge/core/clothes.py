"""The colour of a person's clothes: a weak cue that tells two people apart while they pass each other.

It lives as long as the track, in its memory only, and is far too coarse to know anyone by: 64 colours above
the belt and 64 below.
"""

from __future__ import annotations

import numpy as np

from edge.core.geometry import Floats
from edge.core.values import Pixels

COLOURS = 128
# Where a person is looked at: 20 x 10 points, clear of the background at the sides, the hair and the floor.
_X = np.linspace(0.25, 0.75, 10)
_Y = np.linspace(0.12, 0.92, 20)
_HALF = np.repeat(np.array([0, 64]), 10)[:, None]


def clothes(pixels: Pixels, box: Floats) -> Floats:
    """(COLOURS,) square roots of the shares of the colours: the dot product of two is Bhattacharyya's.

    `pixels` is (height, width, 3) uint8, `box` (x1, y1, x2, y2) in pixels, which may reach over the border.
    """
    height, width = pixels.shape[:2]
    x = np.clip(box[0] + (box[2] - box[0]) * _X, 0, width - 1).astype(np.intp)
    y = np.clip(box[1] + (box[3] - box[1]) * _Y, 0, height - 1).astype(np.intp)
    level = pixels[y[:, None], x].astype(np.intp) >> 6
    bins = level[..., 0] * 16 + level[..., 1] * 4 + level[..., 2] + _HALF
    return unit(np.sqrt(np.bincount(bins.ravel(), minlength=COLOURS)))


def unit(vector: Floats) -> Floats:
    """The vector at length 1."""
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
