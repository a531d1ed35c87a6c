"""Real files and a real stream through OpenCV: every frame, right times, or one clear line."""

from __future__ import annotations

import http.server
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters.video import Address, CameraSource, FileSource
from edge.ports import AdapterError
from tests.conformance import check_end, check_source

CLIP = Path(__file__).parents[1] / "data/vtest.mp4"


class StoppedClock:
    """A clock that stands at known instants."""

    def monotonic_s(self) -> float:
        return 100.0

    def wall_s(self) -> float:
        return 1_700_000_000.0


class TickingClock(StoppedClock):
    """A tenth of a second passes at every look."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def monotonic_s(self) -> float:
        return 100.0 + next(self._ticks) / 10


def test_a_clip_gives_every_frame_on_its_own_time() -> None:
    source = FileSource("clip", CLIP, StoppedClock())
    seen = [(frame.index, frame.monotonic_s, frame.wall_s, frame.size) for frame in source.frames()]
    source.close()
    assert [index for index, *_ in seen] == list(range(795))
    assert source.frame_count == 795
    assert seen[0] == (0, 100.0, 1_700_000_000.0, (768, 576))
    assert seen[794][1] == pytest.approx(179.4)


def test_a_clip_can_be_thinned_to_a_cameras_rate() -> None:
    source = FileSource("clip", CLIP, StoppedClock(), fps_max=2.5)
    indices = [frame.index for frame in itertools.islice(source.frames(), 5)]
    source.close()
    assert indices == [0, 4, 8, 12, 16]


def bad_clip(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "clip.mp4"
    whole = CLIP.read_bytes()
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("this is not a video\n" * 1000)
        case "header only":
            path.write_bytes(whole[:1000])
        case "folder":
            path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("folder", "no such file"),
        ("empty", "the file is empty"),
        ("text", "not a video"),
        ("header only", "not a video, or cut off"),
    ],
)
def test_a_file_that_is_no_clip_is_named_with_its_cause(tmp_path: Path, kind: str, words: str) -> None:
    path = bad_clip(tmp_path, kind)
    with pytest.raises(AdapterError, match=words) as caught:
        FileSource("clip", path, StoppedClock())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class Mjpeg(http.server.BaseHTTPRequestHandler):
    """A camera: a hundred pictures, then it dies."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for level in range(100):
            ok, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))
            assert ok
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            self.wfile.write(part + jpeg.tobytes() + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mjpeg_camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mjpeg)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/stream"
    server.shutdown()
    server.server_close()


def test_a_network_camera_gives_frames_then_says_why_it_stopped_and_opens_anew(mjpeg_camera: str) -> None:
    source = CameraSource("door", Address(mjpeg_camera), TickingClock(), fps_max=60)
    for _ in range(2):
        frames = source.frames()
        assert next(frames).size == (64, 48)
        with pytest.raises(AdapterError, match="no more pictures came"):
            for _ in frames:
                pass
    source.close()


def test_a_recording_is_a_source_like_any_other() -> None:
    check_source(lambda: FileSource("clip", CLIP, StoppedClock()))
    check_end(lambda: FileSource("clip", CLIP, StoppedClock(), fps_max=1))


def test_a_network_camera_is_a_source_like_any_other(mjpeg_camera: str) -> None:
    clock = TickingClock()
    check_source(lambda: CameraSource("door", Address(mjpeg_camera), clock, fps_max=60))
    check_end(lambda: CameraSource("door", Address(mjpeg_camera), clock, fps_max=60))


def test_a_camera_that_is_not_there_says_what_to_look_at() -> None:
    with pytest.raises(AdapterError, match=r"/dev/video99 does not exist: is the camera plugged in"):
        next(CameraSource("door", Address("v4l2:/dev/video99"), StoppedClock(), 10).frames())
    with pytest.raises(AdapterError, match=r"127\.0\.0\.1, port 9: Connection refused; is it powered"):
        next(CameraSource("door", Address("rtsp://127.0.0.1:9/x"), StoppedClock(), 10).frames())


class Stubborn(http.server.BaseHTTPRequestHandler):
    """A camera that refuses, as its path says: /401."""

    def do_GET(self) -> None:
        self.send_error(int(self.path[1:]))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stubborn_camera() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stubborn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "login", "hint"),
    [
        ("/401", ("viewer", "p@ssword"), "it refuses the login: check username and password_file"),
        ("/401", (), "it wants a login"),
        ("/404", (), "knows no such path"),
        ("/503", (), "no stream that can be read"),
    ],
)
def test_a_camera_that_answers_but_gives_no_picture_says_why(
    stubborn_camera: str, path: str, login: tuple[str, ...], hint: str
) -> None:
    address = Address(stubborn_camera + path, *login)
    with pytest.raises(AdapterError, match=hint) as caught:
        next(CameraSource("door", address, StoppedClock(), 10).frames())
    assert "p@ss" not in str(caught.value)


def test_a_cameras_login_reaches_opencv_but_no_message() -> None:
    address = Address("rtsp://127.0.0.1:9/x", "viewer", "p@ss/word")
    assert address.url() == "rtsp://viewer:p%40ss%2Fword@127.0.0.1:9/x"
    assert "p@ss" not in repr(address)
    with pytest.raises(AdapterError) as caught:
        next(CameraSource("door", address, StoppedClock(), 10).frames())
    assert "p@ss" not in str(caught.value)
    assert "viewer:" not in str(caught.value)
