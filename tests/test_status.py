"""The line that a technician reads first."""

from __future__ import annotations

from edge.status import CameraStatus, Pace, Status

DOOR, YARD = CameraStatus("door", 9.8), CameraStatus("yard", 10.1)


def test_all_is_well() -> None:
    line = Status((DOOR, YARD), 412, 398, True, 0).line()
    assert line == "2 cameras, 9.8 fps, 412 in / 398 out today, broker up, outbox 0"


def test_a_dark_camera_is_counted_out_and_its_trouble_is_told() -> None:
    dark = CameraStatus("yard", 0.0, "cannot open camera yard: no picture came")
    line = Status((DOOR, dark), 1, 0, False, 7).line()
    assert line == (
        "1 of 2 cameras, 9.8 fps, 1 in / 0 out today, broker down, outbox 7; "
        "cannot open camera yard: no picture came"
    )


def test_before_the_first_picture_it_says_what_it_waits_for() -> None:
    line = Status((CameraStatus("door", 0.0),), 0, 0, True, 0).line()
    assert line == "0 of 1 camera, 0 in / 0 out today, broker up, outbox 0; waiting for camera door"


def test_a_hang_is_named() -> None:
    assert Status((DOOR,), 0, 0, True, 0, ("pipeline",)).line().endswith("; no progress in pipeline")


def test_the_pace_forgets_what_is_older_than_a_few_seconds() -> None:
    pace = Pace()
    assert pace.fps(0.0, 0) == 0.0
    assert pace.fps(2.0, 20) == 10.0
    assert [pace.fps(second, 20) for second in (5.0, 8.0)][-1] == 0.0
    assert len(pace.seen) <= 3
