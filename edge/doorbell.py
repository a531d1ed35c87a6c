"""How one thread wakes another that also waits for a socket."""

from __future__ import annotations

import os
from contextlib import suppress


class Doorbell:
    """Wakes a thread that sleeps in `select`: `ring` from any thread, the rest is for the sleeper."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)

    def fileno(self) -> int:
        return self._out

    def ring(self) -> None:
        with suppress(BlockingIOError):  # a full pipe rings already
            os.write(self._in, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._out, 4096):
                pass

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
