"""Looks through a camera from within the daemon's sandbox; prints one JSON object of what it got.

Run by the unit under test in place of the daemon: python3 eye.py v4l2:/dev/video0, or vimc for the kernel's
virtual CSI camera, or any source element of GStreamer's.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from contextlib import closing

sys.path.insert(0, "/usr/lib/edged")
from edge.adapters.clock import SystemClock
from edge.adapters.gstreamer import GStreamerSource, csi
from edge.adapters.video import Address, CameraSource
from edge.ports import Source

FRAMES = 20


def source(name: str) -> Source:
    clock, fps_max = SystemClock(), 10.0
    if name.startswith("v4l2:"):
        return CameraSource("door", Address(name), clock, fps_max)
    # As `csi:0`, but that libcamera and the kernel do not agree on what vimc calls BGR.
    element = csi("door", 0).replace("=BGR", "=RGB") if name == "vimc" else name
    return GStreamerSource("door", name, element, clock, fps_max)


with closing(source(" ".join(sys.argv[1:]))) as camera:
    frames = list(itertools.islice(camera.frames(), FRAMES))
told: dict[str, object] = {"frames": len(frames), "size": frames[0].size, "uid": os.getuid()}
told["light"] = float(frames[FRAMES // 2].pixels.mean())
for path in ("/dev/kmsg", "/dev/mem", "/dev/ttyS0"):
    try:
        told[path] = str(os.open(path, os.O_RDONLY))
    except OSError as error:
        told[path] = type(error).__name__
print(json.dumps(told), flush=True)
