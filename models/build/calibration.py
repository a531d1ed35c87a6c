"""The pictures from which int8 ranges are taken: only such as may be redistributed (tests/data, with NOTICE)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

DATA = Path(__file__).parents[2] / "tests" / "data"
CLIP = DATA / "vtest.mp4"
EVERY = 20  # of the clip's 795 frames
Picture = np.ndarray


def frames() -> list[Picture]:
    """Every twentieth frame of the demo clip."""
    capture = cv2.VideoCapture(str(CLIP), cv2.CAP_FFMPEG)
    found = []
    while True:
        good, frame = capture.read()
        if not good:
            return found[::EVERY]
        found.append(frame)


def portraits() -> list[Picture]:
    return [cv2.imread(str(path)) for path in sorted((DATA / "portraits").glob("*.jpg"))]


def letterboxed(picture: Picture, width: int, height: int, pad: int) -> Picture:
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    canvas = np.full((height, width, 3), pad, np.uint8)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=interpolation)
    return canvas


def people(side: int, pad: int) -> Iterator[Picture]:
    """Whole frames, crops of them in which people are two and four times as tall, and portraits: without
    people who fill the picture the coarsest scores would never have been seen to rise."""
    clip = frames()
    for frame in clip[::4] + portraits():
        yield letterboxed(frame, side, side, pad)
    for zoom, chosen in ((2, clip[::8]), (4, clip[1::4])):
        for frame in chosen:
            for crop in _crops(frame, zoom):
                yield letterboxed(crop, side, side, pad)


def _crops(frame: Picture, zoom: int) -> Iterator[Picture]:
    height, width = frame.shape[0] // zoom, frame.shape[1] // zoom
    for y in (0.1, 0.6):
        for x in (0.0, 0.5, 1.0):
            top, left = int(y * (frame.shape[0] - height)), int(x * (frame.shape[1] - width))
            yield frame[top : top + height, left : left + width]


# Where the faces of the portraits are, marked by hand: eye, eye, tip of the nose, corner, corner of the mouth.
LANDMARKS = {
    "biden": [(246, 146), (296, 157), (274, 186), (237, 207), (285, 216)],
    "collins": [(203, 101), (246, 103), (223, 125), (203, 140), (243, 141)],
    "hopper": [(224, 191), (307, 187), (268, 241), (232, 275), (300, 276)],
    "obama_2009": [(123, 185), (182, 189), (139, 225), (127, 261), (177, 264)],
    "obama_2010": [(314, 165), (367, 170), (346, 191), (315, 218), (363, 224)],
    "obama_2012": [(234, 112), (288, 111), (258, 143), (235, 169), (285, 169)],
}
TEMPLATE = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)])  # ArcFace, 112 x 112


def _posed(name: str, to: np.ndarray, size: tuple[int, int]) -> Picture:
    """A portrait moved so that its landmarks lie as near as can be to `to`, on a canvas of (width, height)."""
    portrait = cv2.imread(str(DATA / "portraits" / f"{name}.jpg"))
    points = np.array(LANDMARKS[name], np.float64)
    matrix, _ = cv2.estimateAffinePartial2D(points, to, method=cv2.LMEDS)
    return cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def _jittered(random: np.random.Generator, roll: float, scale: float, shift: float) -> np.ndarray:
    """The template turned, scaled and shifted by up to so many degrees, parts and pixels."""
    angle = np.radians(random.uniform(-roll, roll))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = (TEMPLATE - 56) * random.uniform(1 - scale, 1 + scale)
    return centred @ turn.T + 56 + random.uniform(-shift, shift, 2)


def _relit(picture: Picture, random: np.random.Generator) -> Picture:
    """Darker or brighter, sometimes a mirror image, sometimes out of focus."""
    picture = cv2.convertScaleAbs(picture, alpha=random.uniform(0.5, 1.3), beta=random.uniform(-20, 20))
    picture = picture[:, ::-1] if random.random() < 0.5 else picture
    return cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, 2.0)) if random.random() < 0.5 else picture


def aligned_faces() -> Iterator[Picture]:
    """112 x 112 crops as the embedder gets them, with the errors that alignment makes."""
    random = np.random.default_rng(0)
    for name in sorted(LANDMARKS) * 25:
        yield _relit(_posed(name, _jittered(random, 8, 0.1, 3), (112, 112)), random)


def face_scenes(side: int, pad: int) -> Iterator[Picture]:
    """Whole portraits, and mosaics of faces 16 to 150 pixels high, upright and tilted."""
    random = np.random.default_rng(0)
    for portrait in portraits():
        yield letterboxed(portrait, side, side, pad)
    for cell in (40, 64, 96, 160, 320):
        for _ in range(4 if cell < 160 else 8):
            yield _mosaic(random, cell, side)
    for frame in frames()[::8]:
        yield letterboxed(frame, side, side, pad)


def _mosaic(random: np.random.Generator, cell: int, side: int) -> Picture:
    canvas = np.zeros((side, side, 3), np.uint8)
    names = sorted(LANDMARKS)
    for y in range(0, side - cell + 1, cell):
        for x in range(0, side - cell + 1, cell):
            to = _jittered(random, 35, 0.2, 10) * 0.5 + 28  # the face fills half of the cell
            tile = _posed(names[random.integers(len(names))], to * (cell / 112), (cell, cell))
            canvas[y : y + cell, x : x + cell] = _relit(tile, random)
    return canvas
