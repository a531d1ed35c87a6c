"""Cameras and clips through OpenCV: RTSP, HTTP, V4L2 and files.

Rules: an open and every read have a time-out (a black-hole peer would block for 30 s); a capture that failed
once is dead and is opened anew; between due frames a camera is drained, never left to buffer stale pictures.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit

import cv2

from edge.core.pacing import Pacer
from edge.core.values import Frame, Pixels
from edge.ports import AdapterError, Clock

OPEN_TIMEOUT_MS = 10_000  # RTSP takes about 2 s to open
ASK_S = 3.0
READ_TIMEOUT_MS = 1_500  # FFmpeg's RTSP gives up after three of these
WHOLE = 0.95  # of the frames that a header states: some containers only estimate the number


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera is; the login is never part of `shown`, which logs and errors use."""

    shown: str
    username: str = ""
    password: str = field(default="", repr=False)

    def url(self) -> str:
        """The address with the login in it, for OpenCV only."""
        if not self.username:
            return self.shown
        scheme, rest = self.shown.split("://", 1)
        return f"{scheme}://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{rest}"


class FileSource:
    """A recording: every frame, in order, on the recording's own time; it ends.

    `fps_max` thins frames out evenly, as a camera set to that rate would have; None takes all.
    """

    lossless = True

    def __init__(self, camera: str, path: Path, clock: Clock, fps_max: float | None = None) -> None:
        self._camera, self._path, self._clock, self._fps_max = camera, path, clock, fps_max
        self._capture = open_clip(path)
        self.frames_read = 0
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else 25.0

    def check_whole(self) -> None:
        """Raise AdapterError if the recording ended well before the length that its header states."""
        if self.frames_read < self.frame_count * WHOLE:
            cause = f"it ends after {self.frames_read} of {self.frame_count} frames"
            raise AdapterError("read clip", str(self._path), cause, "the file is cut off: copy it again")

    def frames(self) -> Iterator[Frame]:
        monotonic_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        pacer = Pacer(self._fps_max)
        for index, (at_s, pixels) in enumerate(self._pictures()):
            if pacer.due(at_s):
                yield Frame(self._camera, index, monotonic_s + at_s, wall_s + at_s, pixels)

    def _pictures(self) -> Iterator[tuple[float, Pixels]]:
        """Every picture with its time in the recording, which only grows.

        The container's own time where it advances (rates may vary), else one frame period on: some
        containers give 0 for frames that are held back in the decoder.
        """
        at_s = -1 / self.fps
        while True:
            ok, pixels = self._capture.read()
            if not ok:
                return
            self.frames_read += 1
            stated_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            at_s = stated_s if stated_s > at_s else at_s + 1 / self.fps
            yield at_s, cast(Pixels, pixels)

    def close(self) -> None:
        self._capture.release()


class CameraSource:
    """A live camera; `frames` ends only by AdapterError. Opened anew by the next call of `frames`."""

    lossless = False

    def __init__(self, camera: str, address: Address, clock: Clock, fps_max: float) -> None:
        self._camera, self._address, self._clock, self._fps_max = camera, address, clock, fps_max
        self._capture: cv2.VideoCapture | None = None
        self._index = 0

    def frames(self) -> Iterator[Frame]:
        self.close()
        self._capture = capture = self._open()
        pacer = Pacer(self._fps_max)
        while True:
            if not capture.grab():
                raise self._failed("read", "no more pictures came", "is it powered and connected?")
            now = self._clock.monotonic_s()
            if pacer.due(now):
                ok, pixels = capture.retrieve()
                if ok:
                    yield Frame(self._camera, self._index, now, self._clock.wall_s(), cast(Pixels, pixels))
            self._index += 1

    def _open(self) -> cv2.VideoCapture:
        shown = self._address.shown
        if shown.startswith("v4l2:"):
            capture = cv2.VideoCapture(shown.removeprefix("v4l2:"), cv2.CAP_V4L2)
            hint = partial(_device_hint, shown.removeprefix("v4l2:"))
        else:
            capture = cv2.VideoCapture(self._address.url(), cv2.CAP_FFMPEG, _timeouts())
            hint = partial(_network_hint, self._address)
        if not capture.isOpened():
            raise self._failed("open", "no picture came", hint())
        return capture

    def _failed(self, operation: str, cause: str, hint: str) -> AdapterError:
        return AdapterError(f"{operation} camera", f"{self._camera} ({self._address.shown})", cause, hint)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def open_clip(path: Path) -> cv2.VideoCapture:
    """An opened recording, or an AdapterError in one line that says what is wrong with the file."""
    if not path.is_file():
        raise AdapterError("open clip", str(path), "no such file", "check the path")
    if not os.access(path, os.R_OK):
        raise AdapterError(
            "open clip", str(path), "no permission to read it", "check the file's owner and mode"
        )
    if path.stat().st_size == 0:
        raise AdapterError("open clip", str(path), "the file is empty", "copy it again")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, _timeouts())
    if not capture.isOpened():
        raise AdapterError("open clip", str(path), "not a video, or cut off", "does a player open it?")
    return capture


def _timeouts() -> list[int]:
    return [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS),
        *(cv2.CAP_PROP_N_THREADS, 1),
    ]


def _network_hint(address: Address) -> str:
    """OpenCV does not say why a stream does not open, so the camera is asked once more, without the login:
    RTSP and HTTP both answer with a first line such as `RTSP/1.0 401 Unauthorized`."""
    parts = urlsplit(address.shown)
    where = parts.hostname or "", parts.port or (554 if parts.scheme == "rtsp" else 80)
    if parts.scheme not in ("rtsp", "http"):
        return f"is {parts.hostname} up, the path right, and the login accepted?"
    asked = f"DESCRIBE {address.shown} RTSP/1.0\r\nCSeq: 1"
    if parts.scheme == "http":
        asked = f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.hostname}"
    try:
        with socket.create_connection(where, ASK_S) as connection:
            connection.settimeout(ASK_S)
            connection.sendall(f"{asked}\r\n\r\n".encode())
            answer = connection.recv(64).decode("latin-1").split()
    except PermissionError:
        return "the sandbox does not let it through: `sudo edged apply`, then restart"
    except OSError as error:
        return f"{parts.hostname}, port {where[1]}: {error.strerror or error}; is it powered and connected?"
    return _meaning(answer[1] if len(answer) > 1 else "", login=bool(address.username))


def _meaning(status: str, *, login: bool) -> str:
    """What the camera's answer to somebody without a login says about the one who had it, or had none."""
    if status in ("401", "403"):
        wrong = "it refuses the login: check username and password_file of the camera"
        return wrong if login else "it wants a login: give the camera a username and a password_file"
    if status == "404":
        return "it answers, but knows no such path: see its manual for the address of the stream"
    return "it answers, but what comes is no stream that can be read: is it H.264, H.265 or MJPEG?"


def _device_hint(device: str) -> str:
    if not Path(device).exists():
        return f"{device} does not exist: is the camera plugged in? `ls /dev/video*` shows what there is"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no permission for {device}: the user needs the group video"
    return "is another program using it?"
