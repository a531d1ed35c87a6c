"""Pieces of the real recording, small enough for a unit test."""

from __future__ import annotations

from pathlib import Path

import cv2

CLIP = Path(__file__).parent / "data/vtest.mp4"
FIRST = 150


def write_two_entries(path: Path) -> Path:
    """Six seconds from frame 150 on: the first two people enter through the gate, at 181 and 203."""
    reader = cv2.VideoCapture(str(CLIP))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (768, 576))
    for index in range(210):
        ok, picture = reader.read()
        assert ok
        if index >= FIRST:
            writer.write(picture)
    writer.release()
    return path
