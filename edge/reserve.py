"""What is left when the outbox is lost: a small file beside it says, so many numbers ahead, which number was
not passed, with the books of that moment."""

from __future__ import annotations

import json
import os
from pathlib import Path

AHEAD = 1_000


class Reserve:
    """`number` was certainly not passed; 0 in a new outbox."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.number = self._read()

    def cover(self, sequence: int, books: str) -> None:
        """Have `sequence` covered, and many after it. Raises OSError."""
        if sequence > self.number:
            self._write(sequence + AHEAD, books)
            self.number = sequence + AHEAD

    def books(self) -> str | None:
        try:
            return str(json.loads(self._path.read_text())["books"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _read(self) -> int:
        try:
            return int(json.loads(self._path.read_text())["not_passed"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _write(self, number: int, books: str) -> None:
        """Replace the file as a whole: after a power cut it is the old one or the new one."""
        draft = self._path.with_suffix(".draft")
        with draft.open("w") as file:
            json.dump({"not_passed": number, "books": books}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
