"""What a part of the device turns out to be: a verdict, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.config import Config
from edge.ports import AdapterError

SCORE_MIN = 0.5  # of a person or a face that a finding goes by


class Verdict(str, Enum):
    """From well to broken, in this order."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` says what to do and is empty when all is well."""

    part: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `running` names the cameras that a running daemon holds open."""

    config: Config
    file: Path
    state_dir: Path
    drop_in: Path
    running: frozenset[str] = frozenset()


def ok(part: str, found: str) -> Check:
    return Check(part, Verdict.OK, found)


def failure(part: str, error: AdapterError) -> Check:
    found = f"cannot {error.operation} {error.subject}: {error.cause}"
    return Check(part, Verdict.FAILURE, found, error.hint or "see the journal: journalctl -u edged -e")


def warn_if(wrong: bool, part: str, found: str, remedy: str) -> Check:
    return Check(part, Verdict.WARNING, found, remedy) if wrong else ok(part, found)
