"""Whether something hides a part of an aligned face: a mask, a hand, dark glasses, another head.

Three looks at what is always there in a bare face. They are ratios within one crop, so that neither the light
nor the skin matters. What they let through is in models/MODELS.md.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.values import Pixels

Grey = NDArray[np.float32]

FACE, EYES, MOUTH = np.s_[24:100, 20:92], np.s_[40:64, 24:88], np.s_[80:104, 32:80]
EACH_EYE = np.s_[42:62, 24:50], np.s_[42:62, 62:88]  # with its brow
PUPILS = np.s_[47:57, 31:45], np.s_[47:57, 67:81]
MOUTH_MIN = 0.4  # contrast around the mouth over that around the eyes: .57 to .85 bare, under .3 masked
ALIKE_MIN = 0.55  # lines across one eye over those across the other, the weaker first; bare .6 to 1
PUPIL_MIN = 0.2  # contrast within an eye over that of the face; bare from .23, behind dark glass under .15


def is_covered(crop: Pixels) -> bool:
    """Whether an aligned face (112, 112, 3) uint8 lacks its mouth, one of its eyes, or what is in them."""
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.float32)
    return _is_masked(grey) or _is_one_sided(grey) or _is_behind_glass(grey)


def _is_masked(grey: Grey) -> bool:
    return bool(grey[MOUTH].std() < MOUTH_MIN * grey[EYES].std())


def _is_one_sided(grey: Grey) -> bool:
    """Eyes and brows are dark lines across the face, one like the other."""
    lines = abs(cv2.Sobel(cv2.GaussianBlur(grey, (0, 0), 2), cv2.CV_32F, 0, 1))
    weaker, stronger = sorted(float(lines[eye].mean()) for eye in EACH_EYE)
    return weaker < ALIKE_MIN * stronger


def _is_behind_glass(grey: Grey) -> bool:
    return bool(min(grey[pupil].std() for pupil in PUPILS) < PUPIL_MIN * grey[FACE].std())
