"""The doctor on the device itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge import sandbox
from edge.doctor.device import check_disk, check_sandbox
from edge.doctor.findings import Verdict
from tests.doctor import patient


def test_a_sandbox_that_does_not_fit_the_config_is_told(tmp_path: Path) -> None:
    made = patient(tmp_path)
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.WARNING]
    made.drop_in.write_text(sandbox.drop_in(made.config, made.file))
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.OK]
    made.drop_in.write_text("[Service]\nIPAddressAllow=any\n")
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.WARNING]


def test_the_disk_that_will_hold_the_outbox_is_looked_at(tmp_path: Path) -> None:
    (check,) = check_disk(replace(patient(tmp_path), state_dir=tmp_path / "not/there/yet"))
    assert str(tmp_path) in check.found
