"""Takes the picture and video encoders out of this process: nothing in the daemon can make a picture file.

OpenCV brings them along with what the daemon needs of it. `edged run` gives them up before the first frame:
whatever code later asks for one, by mistake or on purpose, finds none. It is a lock against our own code and
that of libraries, not against somebody who already runs code of their own choice in the process.
"""

from __future__ import annotations

import sys
from types import ModuleType

import cv2

# imwrite, imencode and their kin, VideoWriter, and what writes whole arrays to a file.
PREFIXES = ("imwrite", "imencode", "VideoWriter", "FileStorage", "writeOpticalFlow")


def give_up() -> None:
    """After this, no module of OpenCV has a function or a class that encodes or writes pictures."""
    compiled = getattr(cv2, "_native", cv2)  # the package repeats its names
    for module in [compiled, *(found for name, found in sys.modules.items() if name.split(".")[0] == "cv2")]:
        _strip(module)


def _strip(module: ModuleType) -> None:
    for name in [name for name in vars(module) if name.startswith(PREFIXES)]:
        delattr(module, name)
