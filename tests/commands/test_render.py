"""`edged count --render` and `--plot`: pictures that explain a count, from a recording only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.commands.render import Film, Plot, blurred
from edge.core.values import Box, Crossing, Frame, Kind, Line, Moment, Scene, Track
from edge.ports import AdapterError

SCENE = Scene("clip", (Line("door", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5)),))
CROSSING = Crossing("clip", "door", Kind.ENTRY, Moment(5, 0.5, 0.5), 1, "walked through the line")


def frame(index: int) -> Frame:
    pixels = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    return Frame("clip", index, index / 10, index / 10, pixels)


def track(x: float) -> Track:
    return Track(1, Box(x - 10, 40, x + 10, 90), 0.8, True, True)


def test_the_film_has_every_frame_with_its_boxes_and_leaves_the_frames_alone(tmp_path: Path) -> None:
    with Film(tmp_path / "out.mp4", SCENE, 10) as film:
        for index in range(12):
            shown = frame(index)
            film.add(shown, [track(20 + 10 * index)], [CROSSING] if index > 5 else [])
            assert (shown.pixels == frame(index).pixels).all()
    reader = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    pictures = [reader.read()[1] for _ in range(12)]
    assert all(picture is not None and picture.shape == (120, 160, 3) for picture in pictures)
    assert not reader.read()[0]


def test_the_plot_shows_trails_over_a_first_picture_in_which_people_are_blurred(tmp_path: Path) -> None:
    crossings: list[Crossing] = []
    with Plot(tmp_path / "out.png", SCENE) as plot:
        for index in range(12):
            plot.add(frame(index), [track(20 + 10 * index)], crossings)
        crossings.append(CROSSING)
    drawn = cv2.imread(str(tmp_path / "out.png"))
    assert drawn is not None
    assert drawn.shape == (300, 160, 3)
    # Noise where nobody was, smooth where the first picture had somebody.
    assert drawn[100:118, 100:150].std() > 3 * drawn[50:85, 14:19].std()


def test_a_blurred_box_may_reach_over_the_border() -> None:
    pixels = frame(0).pixels
    picture = blurred(pixels, [Box(-20, 100, 30, 140), Box(300, 300, 400, 400)])
    assert picture[110:, :30].std() < picture[:80].std() / 3


def test_whoever_the_detector_missed_cannot_be_made_out_either() -> None:
    pixels = np.full((576, 768, 3), 128, np.uint8)
    face = np.indices((24, 20)).sum(axis=0) % 2 * 255  # as fine as a face at a door camera is
    pixels[200:224, 300:320] = face[..., None]
    picture = blurred(pixels, [])
    assert pixels[200:224, 300:320].std() > 120
    assert picture[200:224, 300:320].std() < 5


def test_a_file_name_that_no_encoder_knows_is_one_clear_error(tmp_path: Path) -> None:
    plot = Plot(tmp_path / "out.txt", SCENE)
    plot.add(frame(0), [], [])
    with pytest.raises(AdapterError, match="name it OUT"):
        plot.__exit__(None, None, None)


def test_the_daemon_cannot_reach_the_video_encoder() -> None:
    script = "import sys, edge.commands.run, edge.app, edge.cli; print('edge.commands.render' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
