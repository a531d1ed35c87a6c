"""A worker that works, one that hangs, one that dies: each is told from the others."""

from __future__ import annotations

import threading

import pytest

from edge.workers import Beat, Worker


class HandClock:
    """A clock that is set by hand."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s


def test_a_worker_hangs_once_its_beat_is_stale_and_not_before() -> None:
    clock, beaten, end = HandClock(), threading.Semaphore(0), threading.Event()
    allowed = threading.Semaphore(0)

    def body(beat: Beat) -> None:
        while not end.is_set():
            allowed.acquire()
            beat()
            beaten.release()

    worker = Worker("pipeline", body, fresh_s=10, clock=clock).start()
    seen = []
    for clock.now_s in (10.0, 10.1):
        seen.append(worker.hangs)
    allowed.release()
    beaten.acquire()
    assert [*seen, worker.hangs] == [False, True, False]
    end.set()
    allowed.release()
    worker.join(5)
    clock.now_s = 1000.0
    assert not worker.running
    assert not worker.hangs
    assert not worker.failed


def test_a_worker_that_dies_of_a_bug_says_so_with_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def body(beat: Beat) -> None:
        raise ZeroDivisionError("one over nothing")

    worker = Worker("capture door", body, fresh_s=10, clock=HandClock()).start()
    worker.join(5)
    assert worker.failed
    assert "the worker capture door has died of a bug" in caplog.text
    assert "one over nothing" in caplog.text
