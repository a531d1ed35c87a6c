"""The daemon's status in its runtime directory, as another process finds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.adapters.statusfile import StatusFile, read
from edge.ports import AdapterError


def test_what_the_daemon_wrote_is_read_whole(tmp_path: Path) -> None:
    file = StatusFile(tmp_path)
    for entries in range(3):
        file.write({"line": "fine", "entries": entries})
        assert read(tmp_path)["entries"] == entries
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o644


def test_no_daemon_is_told_from_one_that_hangs(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="is it running"):
        read(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps({"written_s": -60.0}))
    with pytest.raises(AdapterError, match="it hangs or has ended"):
        read(tmp_path)


def test_counting_goes_on_where_no_status_can_be_written(tmp_path: Path) -> None:
    StatusFile(None).write({})
    StatusFile(tmp_path / "gone").write({})
    assert not list(tmp_path.iterdir())
