"""Tracks told as small walks (see `paths`): people 100 px tall in a picture of 1000 x 500."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.tracker import Tracker, TrackerSettings
from edge.core.values import Box, Detection, Frame, Track
from tests.core.paths import FPS, HEIGHT, PIXELS, WIDTH, Path, box, frame, hidden, seen, stand, walk

LEFT, RIGHT = (300.0, 300.0), (700.0, 300.0)
SET = TrackerSettings()


def run(*paths: Path, fps: float = FPS, score: float = 0.8) -> list[tuple[Track, ...]]:
    """The tracks after each frame, from detections of these walks."""
    tracker, history = Tracker(), []
    for index in range(max(map(len, paths))):
        feet = [path[index] for path in paths if index < len(path)]
        history.append(tracker.update([seen(foot, score) for foot in feet if foot], frame(index, fps)))
    return history


def confirmed_ids(history: list[tuple[Track, ...]]) -> set[int]:
    return {track.id for tracks in history for track in tracks if track.confirmed}


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_one_walk_is_one_track_that_stays_with_the_person(fps: float) -> None:
    path = walk(LEFT, RIGHT, speed=100 / fps)
    history = run(path, fps=fps)
    assert confirmed_ids(history) == {1}
    (track,) = history[-1]
    assert track.box.centre == pytest.approx(box(RIGHT).centre, abs=5)
    assert track.box.height == pytest.approx(100, abs=2)


def test_a_person_is_confirmed_by_time_and_not_by_frames() -> None:
    for fps in (5, 30):
        history = run(stand(LEFT, 60), fps=fps)
        first = next(index for index, tracks in enumerate(history) if tracks[0].confirmed)
        assert SET.confirm_s <= first / fps <= SET.confirm_s + 2 / fps + 1e-9


def test_two_detections_do_not_make_a_person() -> None:
    assert confirmed_ids(run([*stand(LEFT, 2), *hidden(10)])) == set()


def test_two_people_who_pass_each_other_keep_their_identities() -> None:
    history = run(walk(LEFT, RIGHT), walk((700, 310), (300, 310)))
    ends = {track.id: track.box.centre[0] for track in history[-1]}
    assert ends == {1: pytest.approx(700, abs=10), 2: pytest.approx(300, abs=10)}


def test_a_person_hidden_for_two_seconds_is_found_again() -> None:
    path = walk(LEFT, RIGHT, speed=5)
    path[30:50] = hidden(20)
    assert confirmed_ids(run(path)) == {1}


def test_a_person_away_for_longer_than_the_memory_is_someone_new() -> None:
    history = run([*stand(LEFT, 20), *hidden(round(SET.memory_s * FPS) + 2), *stand(LEFT, 20)])
    assert confirmed_ids(history) == {1, 2}
    assert history[20 + round(SET.memory_s * FPS) + 1] == ()


def test_a_poor_score_continues_a_person_but_starts_none() -> None:
    tracker = Tracker()
    path = walk(LEFT, RIGHT)
    for index, foot in enumerate(path):
        assert foot is not None
        score = 0.8 if index % 8 == 0 or index < 20 else SET.score_low
        tracks = tracker.update([seen(foot, score), seen((900, 450), 0.3)], frame(index))
    assert [(track.id, track.seen) for track in tracks] == [(1, True)]


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_poor_scores_alone_keep_nobody_for_long(fps: float) -> None:
    """Clutter that a person has walked in front of is not that person."""
    tracker, unseen = Tracker(), list[float]()
    for index in range(round(4 * fps)):
        score = 0.8 if index <= fps else SET.score_low
        tracks = tracker.update([seen(LEFT, score)], frame(index, fps))
        unseen += [index / fps - 1 for track in tracks if not track.seen]
    assert min(unseen) == pytest.approx(SET.poor_s, abs=1 / fps + 1e-6)


def test_a_poor_box_beside_the_way_is_not_the_person_who_has_gone() -> None:
    """While the person is hidden, something near that scores a little does not lead them off."""
    tracker = Tracker()
    for index, foot in enumerate(walk(LEFT, RIGHT)):
        assert foot is not None
        beside = seen((foot[0], foot[1] - 60), SET.score_low)
        found = [seen(foot)] if index < 20 else [beside]
        tracks = tracker.update(found, frame(index))
        if index == 21:
            assert [track.seen for track in tracks] == [False]


def test_a_box_around_two_who_walk_side_by_side_is_nobody() -> None:
    tracker = Tracker()
    for index, foot in enumerate(walk(LEFT, RIGHT)):
        assert foot is not None
        pair = [seen(foot), seen((foot[0] + 42, foot[1]))]
        both = Detection(Box(pair[0].box.x1, pair[0].box.y1, pair[1].box.x2, pair[1].box.y2), 0.7)
        tracks = tracker.update([*pair, *[both] * (index >= 10)], frame(index))
    assert [track.id for track in tracks if track.confirmed] == [1, 2]


def test_furniture_that_scores_poorly_takes_no_passing_person() -> None:
    rack, path = (500.0, 300.0), walk((400, 300), (600, 300), speed=5)
    tracker = Tracker()
    for index in range(80):
        score = 0.5 if index < 10 else 0.3
        people = [seen(foot)] if index >= 40 and (foot := path[index - 40]) else []
        tracks = tracker.update([seen(rack, score), *people], frame(index))
    (person,) = [track for track in tracks if track.seen]
    assert person.box.centre[0] == pytest.approx(600, abs=10)
    assert person.id == 2, "the rack came first"


def test_a_lost_person_is_not_taken_up_by_someone_in_other_clothes() -> None:
    blue, red = PIXELS.copy(), PIXELS.copy()
    blue[:, :, 0], red[:, :, 2] = 200, 200
    tracker = Tracker()

    def step(index: int, pixels: np.ndarray, there: bool) -> tuple[Track, ...]:
        return tracker.update(
            [seen(LEFT)] * there, Frame("entrance", index, index / FPS, index / FPS, pixels)
        )

    for index in range(40):
        tracks = step(index, blue if index < 20 else red, there=index < 20 or index >= 30)
    assert [track.id for track in tracks if track.seen] == [2]


def test_no_detections_no_tracks() -> None:
    assert Tracker().update([], frame(0)) == ()


def test_the_same_detections_give_the_same_tracks() -> None:
    paths = walk(LEFT, RIGHT), walk(RIGHT, LEFT), walk((500, 200), (500, 450))
    assert run(*paths) == run(*paths)


boxes = st.tuples(st.floats(0, WIDTH - 60), st.floats(0, HEIGHT - 60), st.floats(1, 60), st.floats(1, 60))
pictures = st.lists(st.lists(st.tuples(boxes, st.floats(0, 1)), max_size=8), max_size=25)


@given(pictures)
def test_whatever_the_detector_says(pictures: list[list[tuple[tuple[float, ...], float]]]) -> None:
    """Ids are unique and never come back, tracks end, and no more are seen than were detected."""
    tracker, gone, live = Tracker(), set[int](), set[int]()
    for index, found in enumerate(pictures):
        detections = [Detection(Box(x, y, x + w, y + h), score) for (x, y, w, h), score in found]
        tracks = tracker.update(detections, frame(index))
        ids = [track.id for track in tracks]
        assert ids == sorted(set(ids))
        assert not gone & set(ids)
        assert sum(track.seen for track in tracks) <= sum(score >= SET.score_low for _, score in found)
        gone |= live - set(ids)
        live = set(ids)
    later = round((SET.memory_s + 1) * FPS)
    assert tracker.update([], frame(len(pictures) + later)) == ()
