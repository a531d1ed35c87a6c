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
_HALF = np.repeat(np.array([0, 64], np.uint8), 10)[:, None]


def clothes(pixels: Pixels, boxes: Floats) -> Floats:
    """(n, COLOURS) square roots of the shares of the colours: the dot product of two rows is Bhattacharyya's.

    `pixels` is (height, width, 3) uint8, `boxes` (n, 4) in pixels, which may reach over the border.
    """
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = boxes.T[:, :, None]
    x = (x1 + (x2 - x1) * _X).clip(0, width - 1).astype(np.intp)
    y = (y1 + (y2 - y1) * _Y).clip(0, height - 1).astype(np.intp)
    places = (y * width)[:, :, None] + x[:, None, :]
    level = pixels.reshape(-1, 3).take(places, axis=0) >> 6
    colour = level[..., 0] << 4 | level[..., 1] << 2 | level[..., 2] | _HALF
    bins = colour + COLOURS * np.arange(len(boxes))[:, None, None]
    counts = np.bincount(bins.ravel(), minlength=COLOURS * len(boxes)).reshape(-1, COLOURS)
    return np.sqrt(counts / (len(_X) * len(_Y)))
