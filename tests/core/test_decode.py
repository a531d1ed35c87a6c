"""Decoding: what the tensors say must come out as boxes, whatever the quantisation."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.core import decode
from edge.core.decode import Fit, Tensor

BINS = 11


def quantised(values: np.ndarray, scale: float, zero_point: int) -> Tensor:
    q = np.clip(np.round(values / scale) + zero_point, -128, 127)
    return Tensor(q.astype(np.int8), scale, zero_point)


def levels(width: int, height: int, channels: int) -> list[np.ndarray]:
    """Maps full of zeros, one a stride: (rows, columns, channels)."""
    return [np.zeros((height // stride, width // stride, channels)) for stride in decode.STRIDES]


def nanodet(scores: list[np.ndarray], distances: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return decode.nanodet(
        [quantised(s, 1 / 256, -128) for s in scores],
        [quantised(d, 0.1, 0) for d in distances],
        floor=0.1,
    )


def test_an_empty_picture_has_no_boxes() -> None:
    boxes, scores = nanodet(levels(64, 32, 1), levels(64, 32, 4 * BINS))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_one_hot_cell_gives_the_box_around_it() -> None:
    scores, distances = levels(64, 32, 1), levels(64, 32, 4 * BINS)
    row, column = 1, 3
    scores[0][row, column] = 0.75
    for side, strides in enumerate((1, 2, 3, 4)):  # left, top, right, bottom
        distances[0][row, column, side * BINS + strides] = 12.7  # one bin far above the others
    boxes, kept = nanodet(scores, distances)
    x, y = (column + 0.5) * 8, (row + 0.5) * 8
    assert boxes[0] == pytest.approx([x - 8, y - 16, x + 24, y + 32], abs=0.1)
    assert kept.tolist() == [0.75]


def test_a_flat_distribution_is_its_mean() -> None:
    scores, distances = levels(64, 64, 1), levels(64, 64, 4 * BINS)
    scores[2][0, 0] = 0.5
    boxes, _ = nanodet(scores, distances)
    assert boxes[0] == pytest.approx([16 - 160, 16 - 160, 16 + 160, 16 + 160])


def yunet(maps: list[np.ndarray], floor: float = 0.6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kinds, things, boxes, points = (maps[i : i + 3] for i in (0, 3, 6, 9))
    return decode.yunet(
        [quantised(m, 1 / 256, -128) for m in kinds],
        [quantised(m, 1 / 256, -128) for m in things],
        [quantised(m, 1 / 64, 0) for m in boxes],
        [quantised(m, 1 / 64, 0) for m in points],
        floor,
    )


def test_a_face_is_decoded_with_its_landmarks() -> None:
    maps = [part for channels in (1, 1, 4, 10) for part in levels(96, 64, channels)]
    row, column = 1, 2
    maps[1][row, column], maps[4][row, column] = 0.5, 0.98  # class and object at stride 16
    maps[7][row, column] = (0.5, 0.25, np.log(1.5), np.log(2))  # centre, size
    maps[10][row, column] = np.arange(10) / 8
    boxes, scores, landmarks = yunet(maps)
    x, y = (column + 0.5) * 16, (row + 0.25) * 16
    assert boxes[0] == pytest.approx([x - 12, y - 16, x + 12, y + 16], abs=0.3)
    assert scores[0] == pytest.approx(0.7, abs=0.005)
    assert landmarks[0].tolist() == [[32 + 4 * i, 18 + 4 * i] for i in range(5)]


def test_a_face_under_the_floor_is_none_although_one_part_is_sure() -> None:
    maps = [part for channels in (1, 1, 4, 10) for part in levels(96, 64, channels)]
    maps[0][0, 0], maps[3][0, 0] = 0.99, 0.35
    assert len(yunet(maps)[1]) == 0
    assert len(yunet(maps, floor=0.55)[1]) == 1


@given(st.floats(0.02, 0.98), st.integers(1, 255))
def test_the_floor_in_int8_is_the_floor_in_real_numbers(floor: float, steps: int) -> None:
    tensor = Tensor(np.arange(-128, 128, dtype=np.int16).astype(np.int8)[None, :, None], 1 / steps, -128)
    real = (tensor.q.astype(float) + 128) / steps
    assume(np.abs(real - floor).min() > 1e-5)  # on the very edge, rounding may fall either way
    assert np.array_equal(tensor.q >= tensor.least(floor), real >= floor)


def test_two_boxes_of_one_person_become_one_and_the_better_stays() -> None:
    boxes = np.array([[0, 0, 10, 20], [1, 0, 11, 20], [50, 0, 60, 20]], np.float32)
    kept = decode.suppress(boxes, np.array([0.6, 0.9, 0.3], np.float32), 0.5)
    assert kept.tolist() == [1, 2]


def test_suppressing_nothing_gives_nothing() -> None:
    assert decode.suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).tolist() == []


def greedy(boxes: np.ndarray, scores: np.ndarray, iou_max: float) -> list[int]:
    """The textbook's loop, as slow as it is plain."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[j]) <= iou_max for j in kept):
            kept.append(i)
    return kept


def overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    both = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both
    return np.float32(both / max(union, np.float32(1e-9)))


@given(
    hnp.arrays(np.int32, st.tuples(st.integers(0, 40), st.just(4)), elements=st.integers(0, 30)),
    st.sampled_from([0.3, 0.45, 0.7]),
    st.randoms(use_true_random=False),
)
def test_suppression_equals_the_textbook(raw: np.ndarray, iou_max: float, random: Random) -> None:
    boxes = np.concatenate([raw[:, :2], raw[:, :2] + raw[:, 2:] + 1], axis=1).astype(np.float32)
    scores = np.array([0.01 + random.random() for _ in raw], np.float32)
    assert decode.suppress(boxes, scores, iou_max).tolist() == greedy(boxes, scores, iou_max)


def test_a_crowded_picture_is_cut_at_the_best_candidates() -> None:
    count = decode.CANDIDATES_MAX + 50
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(count)], np.float32)
    scores = np.linspace(0.1, 0.9, count, dtype=np.float32)
    kept = decode.suppress(boxes, scores, 0.5)
    assert kept.tolist() == list(range(count - 1, 49, -1))


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([112, 320, 416]))
def test_a_picture_of_any_size_fits_and_little_is_left_empty(width: int, height: int, side: int) -> None:
    fit = Fit.of((width, height), side, 32)
    assert max(fit.size) == side
    for length, room in zip(fit.size, fit.canvas, strict=True):
        assert room % 32 == 0
        assert 0 <= room - length < 32


@pytest.mark.parametrize(
    ("picture", "canvas"), [((1280, 720), (416, 256)), ((640, 480), (416, 320)), ((480, 640), (320, 416))]
)
def test_the_canvas_has_the_shape_of_the_picture(picture: tuple[int, int], canvas: tuple[int, int]) -> None:
    assert Fit.of(picture, 416, 32).canvas == canvas


def test_boxes_come_back_in_pixels_of_the_picture() -> None:
    fit = Fit.of((832, 416), 416, 32)
    (found,) = decode.detections(np.array([[10, 20, 30, 60]], np.float32), np.array([0.5], np.float32), fit)
    assert (found.box.x1, found.box.y1, found.box.x2, found.box.y2) == (20, 40, 60, 120)
    assert found.score == 0.5


def test_landmarks_come_back_in_pixels_of_the_picture() -> None:
    fit = Fit.of((640, 640), 320, 32)
    points = np.arange(10, dtype=np.float32).reshape(1, 5, 2)
    (face,) = decode.faces(np.zeros((1, 4), np.float32), np.ones(1, np.float32), points, fit)
    assert face.landmarks == ((0, 2), (4, 6), (8, 10), (12, 14), (16, 18))
