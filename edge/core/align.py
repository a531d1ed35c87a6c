"""From a face's landmarks to the aligned crop that an embedder takes, and how good a sample it is.

The crop is a similarity transform (turn, scale, shift; never a shear) of the picture that brings the five
landmarks nearest to the ArcFace template, by least squares (Umeyama 1991).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.values import Face, Landmarks, Pixels

SIDE = 112
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
Matrix = NDArray[np.float64]


def similarity(landmarks: Landmarks) -> Matrix:
    """The (2, 3) matrix that takes points of the picture to points of the crop.

    As complex numbers a similarity is z -> a z + b, and least squares has a closed form. Raises ValueError
    when all landmarks coincide.
    """
    source, target = (np.asarray(points) @ (1, 1j) for points in (landmarks, TEMPLATE))
    centred = source - source.mean()
    spread = float((abs(centred) ** 2).sum())
    if not (math.isfinite(spread) and spread > 1e-6):
        raise ValueError("the landmarks coincide")
    a = (centred.conj() * (target - target.mean())).sum() / spread
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def crop(pixels: Pixels, landmarks: Landmarks) -> Pixels:
    """The aligned face (112, 112, 3) uint8, in the colour order of `pixels` (height, width, 3)."""
    matrix = similarity(landmarks)
    return np.asarray(cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a face sample is.

    `size_px` is the face's height in the picture. `yaw` and `pitch` say how far the tip of the nose lies from
    where the template has it, sideways and along the face, in eye distances; `roll_deg` is the eyes' tilt.
    `sharpness` is the standard deviation of the Laplacian of the crop over that of its grey values.
    """

    size_px: float
    yaw: float
    pitch: float
    roll_deg: float
    sharpness: float
    score: float

    @property
    def weight(self) -> float:
        """One figure in 0..1 to choose the best samples of a track by: each part counts as a factor."""
        size = min(1.0, self.size_px / SIDE)
        pose = max(0.0, 1 - abs(self.yaw)) * max(0.0, 1 - abs(self.pitch)) * math.cos(self._roll) ** 2
        return size * pose * min(1.0, self.sharpness / SHARP) * self.score

    @property
    def _roll(self) -> float:
        return math.radians(min(90.0, abs(self.roll_deg)))


SHARP = 0.5  # a face in focus and about as large as the crop


@dataclass(frozen=True, slots=True)
class Gate:
    """What a sample must be to be embedded; the embedder is blind below about 48 pixels."""

    size_px_min: float = 48.0
    yaw_max: float = 0.4
    pitch_max: float = 0.4
    roll_deg_max: float = 30.0
    sharpness_min: float = 0.1
    score_min: float = 0.7

    def passes(self, quality: Quality) -> bool:
        return (
            quality.size_px >= self.size_px_min
            and abs(quality.yaw) <= self.yaw_max
            and abs(quality.pitch) <= self.pitch_max
            and abs(quality.roll_deg) <= self.roll_deg_max
            and quality.sharpness >= self.sharpness_min
            and quality.score >= self.score_min
        )


def assess(face: Face, aligned: Pixels) -> Quality:
    """The quality of a face from its landmarks and its aligned crop."""
    yaw, pitch, roll_deg = pose(face.landmarks)
    return Quality(face.box.height, yaw, pitch, roll_deg, sharpness(aligned), face.score)


def pose(landmarks: Landmarks) -> tuple[float, float, float]:
    """(yaw, pitch, roll in degrees) as in `Quality`, seen in the frame of the eyes."""
    left, right, nose, *mouth = np.asarray(landmarks) @ (1, 1j)
    across = right - left
    eyes = max(abs(across), 1e-6)
    relative = ((nose - (left + right) / 2) / across) if abs(across) > 1e-6 else 0j
    depth = abs(np.mean(mouth) - (left + right) / 2) / eyes
    nose_share = relative.imag / depth if depth > 1e-6 else 0.0
    return float(relative.real), float(2 * (nose_share - 0.5)), float(np.degrees(np.angle(across)))


def sharpness(aligned: Pixels) -> float:
    """Contrast of edges over contrast of the whole, from the middle of the crop: blind to brightness."""
    grey = cv2.cvtColor(aligned[16:96, 16:96], cv2.COLOR_BGR2GRAY)
    spread = float(grey.std())
    return float(cv2.Laplacian(grey, cv2.CV_32F).std()) / spread if spread > 1 else 0.0
