"""The real GStreamer, with a test picture in place of the board's own element."""

from __future__ import annotations

import itertools
import os
import sys
import time
from contextlib import closing

import pytest

from edge.adapters import gstreamer
from edge.adapters.clock import SystemClock
from edge.adapters.gstreamer import GStreamerSource
from edge.ports import AdapterError
from tests.conformance import check_end, check_source

DISTRIBUTION = "/usr/lib/python3/dist-packages"
PICTURE = "video/x-raw,width=64,height=48,framerate=30/1"
CAMERA = f"videotestsrc is-live=true pattern=solid-color foreground-color=0xff3366cc ! {PICTURE}"


@pytest.fixture(scope="module", autouse=True)
def bindings() -> None:
    """The distribution's, as on a device; the test environment has none of its own."""
    sys.path.append(DISTRIBUTION)
    try:
        gstreamer.load()
    except AdapterError as error:
        pytest.skip(f"{error}; they serve the distribution's own Python only")
    finally:
        sys.path.remove(DISTRIBUTION)


def source(element: str = CAMERA, fps_max: float = 60) -> GStreamerSource:
    return GStreamerSource("door", "csi:0", element, SystemClock(), fps_max)


def test_a_csi_camera_is_a_source_like_any_other() -> None:
    check_source(source)
    check_end(lambda: source(CAMERA.replace("true", "true num-buffers=5", 1)))


@pytest.mark.parametrize("width", [64, 63])
def test_pictures_are_blue_green_red_whatever_the_width(width: int) -> None:
    with closing(source(CAMERA.replace("width=64", f"format=NV12,width={width}"))) as camera:
        frame = next(camera.frames())
    assert frame.size == (width, 48)
    for x in (0, width - 1):
        assert frame.pixels[20, x] == pytest.approx([0xCC, 0x66, 0x33], abs=4)


def test_the_rate_is_held_and_who_was_busy_gets_the_newest_picture() -> None:
    with closing(source(fps_max=10)) as camera:
        frames = camera.frames()
        seen = list(itertools.islice(frames, 11))
        assert 0.8 < seen[-1].monotonic_s - seen[0].monotonic_s < 1.3
        time.sleep(1.0)
        assert next(frames).index - seen[-1].index < 4, "thirty were made meanwhile, and one of them waits"


def test_a_camera_that_stalls_is_noticed_within_five_seconds_and_opened_anew() -> None:
    """A pipe is the camera: what is written into it are its pictures."""
    reader, writer = os.pipe()
    element = f"fdsrc fd={reader} ! rawvideoparse format=bgr width=64 height=48 framerate=30/1"
    stalls = pytest.raises(AdapterError, match=r"read camera door \(csi:0\): no more pictures came")
    with closing(source(element)) as camera:
        for _ in range(2):
            os.write(writer, bytes(3 * 64 * 48 * 3))
            seen_s: list[float] = []
            with stalls:
                seen_s.extend(frame.monotonic_s for frame in camera.frames())
            assert seen_s, "pictures came before it stalled"
            assert time.monotonic() - seen_s[-1] < 5.0
            camera.close()  # before the pipe has more to say
    os.close(writer)
    os.close(reader)


def test_a_pipeline_that_cannot_start_says_which_part_is_missing() -> None:
    missing = 'no element "nosuchsrc".*sudo apt install'
    with pytest.raises(AdapterError, match=missing), closing(source("nosuchsrc")) as camera:
        next(camera.frames())


def test_an_element_that_fails_says_why() -> None:
    failing = source("filesrc location=/not-exist ! rawvideoparse")
    with pytest.raises(AdapterError, match=r"open camera door \(csi:0\): .*not-exist"), closing(failing):
        next(failing.frames())


def test_a_board_without_a_camera_says_what_to_look_at() -> None:
    """Without either board's element, what to install; where libcamera is, that it finds none."""
    either = r"apt install gstreamer1\.0-libcamera|libcamera finds 0 CSI cameras \(is the ribbon"
    with pytest.raises(AdapterError, match=either):
        gstreamer.csi("door", 0)


def test_without_the_bindings_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(AdapterError, match=r"sudo apt install python3-gi gir1\.2-gstreamer-1\.0"):
        gstreamer.csi("door", 0)
