"""One contract, one suite: what every Source must do, run against each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from edge.core.values import Frame
from edge.ports import AdapterError, Source


def check_source(open_source: Callable[[], Source]) -> None:
    """Frames come in order, each with its own pixels and a later time than the one before."""
    source = open_source()
    frames = list(itertools.islice(source.frames(), 5))
    assert len(frames) == 5
    assert len({frame.camera for frame in frames}) == 1
    assert strictly_grows([frame.index for frame in frames])
    assert strictly_grows([frame.monotonic_s for frame in frames])
    assert grows([frame.wall_s for frame in frames])
    assert owns_its_pixels(frames)
    source.close()
    source.close()  # closing twice is harmless


def check_end(open_source: Callable[[], Source]) -> None:
    """A recording just ends; a camera never does without saying why."""
    source = open_source()
    if source.lossless:
        assert sum(1 for _ in source.frames()) > 0
    else:
        with pytest.raises(AdapterError):
            for _ in source.frames():
                pass
    source.close()


def strictly_grows(values: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(values))


def grows(values: list[float]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def owns_its_pixels(frames: list[Frame]) -> bool:
    """A later frame must not overwrite an earlier one that a thread still looks at."""
    for frame in frames:
        frame.pixels[:] = frame.index % 250
    return all((frame.pixels == frame.index % 250).all() for frame in frames)
