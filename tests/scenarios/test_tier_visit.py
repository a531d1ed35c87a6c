"""Tier `visit` as the world sees it: real portraits in a clip, the real daemon, the real `edged forget`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from binascii import hexlify
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
import yaml

from edge.adapters import tflite
from edge.core.values import Kind, Pixels
from tests.bench.visits import FPS, HEIGHT, WALK_S, WIDTH, Walk, picture
from tests.known import MAGICS, codes_under, seed_of, watched
from tests.memory import found, image
from tests.test_privacy import LEGAL

ROOT = Path(__file__).parents[2]
PORTRAITS = ROOT / "tests/data/portraits"
STREET = ROOT / "tests/data/vtest.mp4"
DOOR = {"id": "door", "from": [0.5, 0.0], "to": [0.5, 1.0], "inside": [1.0, 0.5], "anchor": "centre"}
DWELL_S = 9.0


def head(name: str) -> Pixels:
    """The head of a portrait, cut to the proportions in which walks are drawn."""
    photo = np.asarray(cv2.imread(str(PORTRAITS / name)), np.uint8)
    finder = tflite.FaceDetector(tflite.models_dir(), "face-yunet-640")
    face = max(finder.detect(photo), key=lambda one: one.box.height).box
    (x, y), half = face.centre, 0.62 * face.height
    rows = slice(max(0, int(y - half)), int(y + half))
    columns = slice(max(0, int(x - half * 92 / 112)), int(x + half * 92 / 112))
    return photo[rows, columns]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people come in; one leaves after nine seconds, while the clip ends, the other is not seen again."""
    walks = [
        Walk("obama", Kind.ENTRY, 0.5, 0.3, [head("obama_2009.jpg"), head("obama_2010.jpg")]),
        Walk("hopper", Kind.ENTRY, 2.5, 0.72, [head("hopper.jpg")]),
        Walk("obama", Kind.EXIT, 0.5 + DWELL_S, 0.3, [head("obama_2012.jpg"), head("obama_2010.jpg")]),
    ]
    rng, wall = np.random.default_rng(1), np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    path = tmp_path_factory.mktemp("clip") / "portraits.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for now_s in np.arange(0, DWELL_S + WALK_S - 0.4, 1 / FPS):
        writer.write(picture(walks, float(now_s), wall, rng))
    writer.release()
    return path


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def config(folder: Path, source: Path, **visits: Any) -> Path:
    privacy = {"tier": "visit", "legal": LEGAL, "visits": visits}
    camera = {"id": "yard", "source": f"file:{source}", "lines": [DOOR], "group": "doors"}
    settings = {"site": "demo", "device": "box", "mqtt": {"host": "127.0.0.1"}, "privacy": privacy}
    path = folder / "edged.yaml"
    path.write_text(yaml.safe_dump({**settings, "cameras": [camera]}))
    return path


def start(folder: Path, path: Path, runtime: Path) -> subprocess.Popen[str]:
    arguments = ["--config", str(path), "--state-dir", str(folder / "state")]
    command = [sys.executable, "-m", "edge", "run", "--print", *arguments]
    environ = {"PATH": "/usr/bin:/bin", "RUNTIME_DIRECTORY": str(runtime), "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True)


def forget(runtime: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "forget", "--runtime-dir", str(runtime)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def until(lines: IO[str], words: str) -> str:
    """What is said up to a line with these words."""
    said = []
    for line in lines:
        said.append(line)
        if words in line:
            break
    return "".join(said)


def events(printed: str, kind: str) -> list[dict[str, Any]]:
    lines = (line.split(" ", 1) for line in printed.splitlines())
    return [json.loads(payload) for topic, payload in lines if topic.endswith(f"/event/doors/{kind}")]


@pytest.mark.slow
def test_one_visit_is_published_and_the_other_person_is_nobody(
    tmp_path: Path, clip: Path, runtime: Path
) -> None:
    daemon = start(tmp_path, config(tmp_path, clip, release="fine"), runtime)
    printed, journal = daemon.communicate(timeout=120)
    assert daemon.returncode == 0, journal
    (visit,) = events(printed, "visit")
    assert visit["data"]["dwell_s"] == pytest.approx(DWELL_S, abs=1)
    assert set(visit["data"]) == {"dwell_s", "quality"}
    assert printed.count('"type":"edged.entry.v1"') == 2
    assert '"visits":{"doors":{"unusable":0,"unfinished":0}}' in printed
    assert "privacy tier visit: faces at the lines are hashed" in journal
    assert "Example Shops Ltd" in journal
    assert "fine release: each visit is published at once" in journal


@pytest.mark.slow
def test_by_default_a_single_visit_is_held_back_and_nothing_of_anyone_is_in_a_file(
    tmp_path: Path, clip: Path, runtime: Path
) -> None:
    """The running daemon's seed is read from its memory, and all that follows from it for these very faces is
    looked for in the files of the state and the runtime directory, while a visit is open and at the end."""
    daemon = start(tmp_path, config(tmp_path, clip), runtime)
    assert daemon.stdout
    printed = until(daemon.stdout, '"type":"edged.entry.v1"') + until(
        daemon.stdout, '"type":"edged.entry.v1"'
    )
    os.kill(daemon.pid, signal.SIGSTOP)
    seed, (templates, pieces) = seed_of(daemon.pid), watched(clip, DOOR)
    codes = codes_under(seed, templates)
    assert codes[0] in found(image(daemon.pid), codes), "the first who came in is known by this code"
    secrets = [seed, *codes, *(template.tobytes() for template in templates), *pieces]
    secrets += [spelt(one) for one in (seed, *codes) for spelt in (b64encode, hexlify)]
    places = (tmp_path / "state", runtime)
    while_open = [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]
    os.kill(daemon.pid, signal.SIGCONT)
    rest, journal = daemon.communicate(timeout=120)
    assert daemon.returncode == 0, journal
    assert events(printed + rest, "visit") == []
    assert (printed + rest).count('"type":"edged.exit.v1"') == 1
    at_the_end = [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]
    for files in (while_open, at_the_end):
        assert sum(map(len, files)) > 10_000
        assert found(files, secrets) == set()
        assert not [match[:16] for content in files for match in MAGICS.findall(content)]
    kept = {path.name for path in (tmp_path / "state").iterdir()}
    assert {name for name in kept if not name.startswith("outbox.")} <= {"models-first-run.json"}


def test_the_scan_knows_pictures_films_and_arrays_when_it_sees_them(clip: Path, tmp_path: Path) -> None:
    picture = np.asarray(cv2.imread(str(PORTRAITS / "hopper.jpg")))
    for kind in ("jpg", "png", "bmp", "webp", "tiff", "gif", "avif"):
        path = tmp_path / f"picture.{kind}"
        if cv2.haveImageWriter(str(path)):
            cv2.imwrite(str(path), picture)
            assert MAGICS.search(b"before" + path.read_bytes()), kind
    np.savez(tmp_path / "faces.npz", picture)
    for path in (clip, tmp_path / "faces.npz", *(ROOT / "models").glob("*.tflite")):
        assert MAGICS.search(path.read_bytes()), path


@pytest.mark.slow
def test_count_tells_the_same_visit_of_the_clip(tmp_path: Path, clip: Path) -> None:
    path = config(tmp_path, clip, release="fine")
    command = [sys.executable, "-m", "edge", "count", str(clip), "--config", str(path), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (visit,) = json.loads(ran.stdout)["visits"]
    assert visit["dwell_s"] == pytest.approx(DWELL_S, abs=1)


def test_a_technician_has_everyone_forgotten_while_the_daemon_runs(tmp_path: Path, runtime: Path) -> None:
    daemon = start(tmp_path, config(tmp_path, STREET), runtime)
    wait_for(runtime / "visits-doors.db")
    done = forget(runtime)
    daemon.kill()
    _, journal = daemon.communicate(timeout=30)
    assert (done.returncode, done.stderr) == (0, ""), journal
    assert done.stdout == "1 keys destroyed, 0 open visits forgotten\n"
    assert "forgotten on request: 1 keys destroyed, 0 visits unfinished" in journal


def test_a_second_daemon_in_the_same_place_is_refused(tmp_path: Path, runtime: Path) -> None:
    path = config(tmp_path, STREET)
    first = start(tmp_path, path, runtime)
    wait_for(runtime / "visits-doors.db")
    other = tmp_path / "other"
    other.mkdir()
    second = start(other, path, runtime)
    _, said = second.communicate(timeout=60)
    first.kill()
    first.communicate(timeout=30)
    assert second.returncode == 2
    assert "another edged runs there" in said


def test_without_a_daemon_forgetting_removes_what_is_left(runtime: Path) -> None:
    for name in ("visits-doors.db", "visits-doors.db-journal", "status.json"):
        (runtime / name).write_text("left")
    done = forget(runtime)
    assert done.returncode == 0
    assert done.stdout.startswith("no daemon of tier visit runs here; 2 files removed\n")
    assert "`systemctl stop edged` destroys them" in done.stdout
    assert [path.name for path in runtime.iterdir()] == ["status.json"]


def wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline_s, f"{path.name} did not appear"
        time.sleep(0.05)
