"""CSI cameras through GStreamer: a Raspberry Pi's by libcamera, a Jetson's by NVIDIA's Argus.

Rules: the source element is a text, and all that follows it is the same for every board; the bindings are the
distribution's (they belong to its GStreamer) and are imported only when such a camera is opened; one picture
waits, the newest; every wait has an end, for the age of a picture is what tells a camera that has stalled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from edge.core.pacing import Pacer
from edge.core.values import Frame, Pixels
from edge.ports import AdapterError, Clock

# The network looks at no more than this. An image processor may have a grid of its own, so it may give less.
SIZE, AT_MOST = "width=1280,height=720", "width=[320,1280],height=[240,720]"
TAIL = "videoconvert ! video/x-raw,format=BGR ! appsink name=sink max-buffers=1 drop=true sync=false"
OPEN_S = 10.0  # to the first picture: sensor, exposure and white balance start up
STALL_S = 3.0
NS = 1_000_000_000
BINDINGS = "sudo apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base"
BOARDS = "sudo apt install gstreamer1.0-libcamera (Raspberry Pi) or nvidia-l4t-gstreamer (Jetson)"
CABLE = "is the ribbon seated, with its contacts the right way round, and the camera's overlay in config.txt?"

SAID = "the lines before, in the journal, are what the camera's own software says"


def csi(camera: str, number: int) -> str:
    """This board's own source for CSI camera `number`, as a pipeline begins. Raises AdapterError.

    Argus first: it exists on a Jetson only, where libcamera may be installed, too, and finds nothing.
    """
    gst = load()
    if gst.ElementFactory.find("nvarguscamerasrc"):
        scaled = f"video/x-raw(memory:NVMM),{SIZE} ! nvvidconv ! video/x-raw,format=BGRx"
        return f"nvarguscamerasrc sensor-id={number} ! {scaled}"
    if gst.ElementFactory.find("libcamerasrc"):
        # With the format left open libcamera may choose grey; BGR comes from the board's own image processor.
        return (
            f'libcamerasrc camera-name="{_name_of(gst, camera, number)}" ! video/x-raw,format=BGR,{AT_MOST}'
        )
    cause = "GStreamer has neither libcamerasrc nor nvarguscamerasrc"
    raise AdapterError("open camera", f"{camera} (csi:{number})", cause, BOARDS)


def _name_of(gst: Any, camera: str, number: int) -> str:
    """In the order of `rpicam-hello --list-cameras`: names downwards, without USB cameras."""
    provider = gst.DeviceProviderFactory.get_by_name("libcameraprovider")
    found = [device.get_display_name() for device in provider.get_devices()] if provider else []
    names = sorted((name for name in found if "usb" not in name), reverse=True)
    if number < len(names):
        return str(names[number])
    cause = f"libcamera finds {len(names)} CSI cameras"
    raise AdapterError("open camera", f"{camera} (csi:{number})", cause, CABLE)


def load() -> Any:
    """The module Gst of the distribution's bindings, ready. Raises AdapterError."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise AdapterError("load", "GStreamer", str(error), BINDINGS) from None
    Gst.init(None)
    return Gst


class GStreamerSource:
    """A live camera; `frames` ends only by AdapterError. Opened anew by the next call of `frames`.

    `element` is how the pipeline begins, such as `csi(0)` says it; `shown` is what errors call the camera.
    """

    lossless = False

    def __init__(self, camera: str, shown: str, element: str, clock: Clock, fps_max: float) -> None:
        self._camera, self._name, self._element = camera, f"{camera} ({shown})", element
        self._clock, self._fps_max = clock, fps_max
        self._gst = load()
        self._pipeline: Any = None
        self._indices = itertools.count()

    def frames(self) -> Iterator[Frame]:
        self.close()
        sink, pacer = self._open(), Pacer(self._fps_max)
        operation, patience_s = "open", OPEN_S
        while sample := sink.emit("try-pull-sample", int(patience_s * NS)):
            operation, patience_s = "read", STALL_S
            now, index = self._clock.monotonic_s(), next(self._indices)
            if pacer.due(now):
                yield Frame(self._camera, index, now, self._clock.wall_s(), pixels_of(sample))
        raise self._failed(operation, "no more pictures came")

    def _open(self) -> Any:
        """The pipeline, started; what it ends in."""
        from gi.repository import GLib

        try:
            self._pipeline = self._gst.parse_launch(f"{self._element} ! {TAIL}")
        except GLib.Error as error:
            raise AdapterError("open camera", self._name, error.message, BINDINGS) from None
        if self._pipeline.set_state(self._gst.State.PLAYING) == self._gst.StateChangeReturn.FAILURE:
            raise self._failed("open", "it does not start")
        return self._pipeline.get_by_name("sink")

    def _complaint(self) -> str:
        """What an element of the pipeline has said of its failure, if one has."""
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        if message is None:
            return ""
        error, details = message.parse_error()
        return " ".join([error.message, *(details or "").splitlines()[-1:]])

    def _failed(self, operation: str, otherwise: str) -> AdapterError:
        said = self._complaint()
        return AdapterError(f"{operation} camera", self._name, said or otherwise, SAID if said else CABLE)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.set_state(self._gst.State.NULL)
            self._pipeline = None


def pixels_of(sample: Any) -> Pixels:
    """(height, width, 3) uint8 BGR, the caller's own.

    GStreamer pads rows to whole words; a camera's own buffer may have tight ones and be padded at its end.
    """
    shape, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
    width, height = shape.get_value("width"), shape.get_value("height")
    stride = min(-(-width * 3 // 4) * 4, buffer.get_size() // height)
    rows = np.frombuffer(buffer.extract_dup(0, stride * height), np.uint8).reshape(height, stride)
    return cast(Pixels, rows[:, : width * 3].reshape(height, width, 3).copy())
