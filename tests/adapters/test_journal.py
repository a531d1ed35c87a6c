"""The entries that the journal gets, read from a real socket; and the catalog that explains them."""

from __future__ import annotations

import ast
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.journal import JournalHandler, RateLimit, log_to_journal, message_id
from edge.ports import AdapterError

ROOT = Path(__file__).parents[2]
CATALOG = (ROOT / "systemd/edged.catalog").read_text()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(5)
        yield listener


@pytest.fixture
def log(tmp_path: Path, journal: socket.socket) -> Iterator[logging.Logger]:
    logger = logging.getLogger("edge.test-journal")
    handler = JournalHandler(str(tmp_path / "journal"))
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def entry(journal: socket.socket) -> dict[str, str]:
    """The fields of the next entry, unpacked as journald does."""
    data, fields = journal.recv(1 << 20), {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            size = int.from_bytes(rest[:8], "little")
            name, value, rest = line, rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


def test_a_lost_camera_becomes_fields_that_can_be_searched(
    log: logging.Logger, journal: socket.socket
) -> None:
    error = AdapterError("open camera", "door (rtsp://10.0.0.9/s)", "no picture came", "is it up?")
    log.warning("%s; trying again", error, extra={"EDGED_EVENT": "camera-lost", "EDGED_CAMERA": "door"})
    found = entry(journal)
    assert found["MESSAGE"] == f"{error}; trying again"
    assert (found["PRIORITY"], found["EDGED_CAMERA"], found["EDGED_ERROR"]) == (
        "4",
        "door",
        "no picture came",
    )
    assert found["MESSAGE_ID"] == message_id("camera-lost")


def test_a_traceback_stays_one_entry(log: logging.Logger, journal: socket.socket) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.critical("died", exc_info=True)
    found = entry(journal)
    assert found["MESSAGE"].startswith("died\nTraceback")
    assert found["MESSAGE"].endswith("two\nlines")
    assert found["PRIORITY"] == "2"


def test_a_login_in_somebody_elses_message_is_redacted(log: logging.Logger, journal: socket.socket) -> None:
    log.error("could not open rtsp://admin:s3cret@10.0.0.9/s")
    assert entry(journal)["MESSAGE"] == "could not open rtsp://***@10.0.0.9/s"


def test_an_entry_that_is_too_large_is_cut(log: logging.Logger, journal: socket.socket) -> None:
    log.error("x" * 1_000_000)
    assert len(entry(journal)["MESSAGE"]) == 48 * 1024


def test_without_a_journal_the_entry_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = JournalHandler(str(tmp_path / "nobody"))
    handler.handle(logging.makeLogRecord({"msg": "still told", "levelno": logging.INFO}))
    handler.close()
    assert capsys.readouterr().err == "still told\n"


def test_a_flood_is_held_back_and_its_size_is_told() -> None:
    now_s = 0.0
    limit = RateLimit(burst=3, per_s=60, monotonic_s=lambda: now_s)

    def passed(line: int) -> str | None:
        record = logging.makeLogRecord({"msg": "no", "lineno": line})
        return str(record.msg) if limit.filter(record) else None

    assert [passed(1) for _ in range(10)] == ["no"] * 3 + [None] * 7
    assert passed(2) == "no", "another place in the code has its own allowance"
    now_s = 61.0
    assert passed(1) == "no [7 more like it were held back]"
    assert passed(1) == "no"


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Given back as it was."""
    before = logging.root.handlers[:], logging.root.level
    yield logging.root
    logging.root.handlers[:], logging.root.level = before


def test_as_a_service_the_message_is_the_words_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, journal: socket.socket, root_logger: logging.Logger
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    monkeypatch.setattr("edge.adapters.journal.JOURNAL", str(tmp_path / "journal"))
    log_to_journal(logging.INFO)
    logging.getLogger("x").warning("%d cameras", 2)
    assert entry(journal)["MESSAGE"] == "2 cameras"


def test_on_a_terminal_the_lines_are_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log_to_journal(logging.INFO)
    logging.getLogger("x").info("fine")
    logging.getLogger("x").debug("unseen")
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    fine\n", capsys.readouterr().err)


def named_events() -> set[str]:
    """Every event that the code logs: the values of EDGED_EVENT in the sources."""
    found = set()
    for path in (ROOT / "edge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "EDGED_EVENT":
                        found |= {c.value for c in ast.walk(value) if isinstance(c, ast.Constant)}
    return {str(event) for event in found}


def test_the_catalog_explains_every_event_and_no_other() -> None:
    explained = set(re.findall(r"^-- ([0-9a-f]{32})$", CATALOG, re.MULTILINE))
    assert explained == {message_id(event) for event in named_events()}


def test_every_explanation_says_what_to_do() -> None:
    for text in CATALOG.split("\n-- ")[1:]:
        assert "Subject: " in text
        assert "\nWhat to do: " in text, text.splitlines()[1]
