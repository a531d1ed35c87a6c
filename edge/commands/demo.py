"""Shows it all on a real recording: daemon, broker, subscriber, and the true counts beside ours.

The daemon runs as itself, `edged run`, over 80 seconds of a real street; mosquitto listens on a free port of
this machine; `mosquitto_sub`, which is not our code, prints what a central system would see. Exit 1 if not
every published event was received. Without mosquitto the daemon prints the same events itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.adapters.clock import SystemClock
from edge.adapters.outbox import Outbox
from edge.adapters.video import FileSource
from edge.core import books
from edge.ports import AdapterError

SITE, DEVICE, CAMERA, LINE, ZONE = "demo", "edged-box", "street", "gate", "crossroads"
# Counted by eye, twice, over the whole recording.
TRUE_ENTRIES, TRUE_EXITS = 8, 6
LAST_MESSAGES_S = 3.0  # between the daemon's end and the subscriber's
LOG = "daemon.log"
ARROWS = {"entry": "→", "exit": "←"}
ROOT = Path(__file__).parents[2]
SBIN = "/usr/sbin:/usr/local/sbin"  # where Debian puts mosquitto, and where not every PATH looks

CONFIG = """\
site: {site}
device: {device}
timezone: UTC
mqtt: {{host: 127.0.0.1, port: {port}}}
cameras:
  - id: {camera}
    source: file:{clip}
    lines:
      - {{id: {line}, from: [0.2865, 0.2604], to: [0.2865, 0.5903], inside: [0.0911, 0.42]}}
    zones:
      - {{id: {zone}, polygon: [[0.3, 0.2], [0.75, 0.2], [0.75, 0.7], [0.3, 0.7]], dwell_s_min: 5}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none: a demo that must be set up is none."""


@dataclass(slots=True)
class Seen:
    """What the subscriber has received so far."""

    ids: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    totals: dict[str, int] = field(default_factory=lambda: {"entry": 0, "exit": 0})

    def add(self, event: dict[str, Any]) -> bool:
        """Take an event in; False if it was seen before."""
        if event["id"] in self.ids:
            return False
        self.ids.add(event["id"])
        self.kinds[event["type"].split(".")[1]] += 1
        self.totals = event["data"].get("totals", self.totals)
        return True


def run(args: argparse.Namespace) -> int:
    clip, started_s, seen = demo_clip(), time.monotonic(), Seen()
    with closing(FileSource(CAMERA, clip, SystemClock())) as source:
        frames = source.frame_count
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-demo-")))
        port = free_port()
        config = folder / "edged.yaml"
        names = {"site": SITE, "device": DEVICE, "camera": CAMERA, "line": LINE, "zone": ZONE}
        config.write_text(CONFIG.format(port=port, clip=clip.resolve(), **names))
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{SBIN}")
        if program and shutil.which("mosquitto_sub"):
            stack.enter_context(broker(folder, port, program))
            heard = stack.enter_context(subscriber(port))
            daemon = stack.enter_context(edged(folder, config))
            threading.Thread(target=hang_up, args=(heard, daemon), daemon=True).start()
        else:
            print("mosquitto is not installed: the daemon prints its events itself")
            daemon = stack.enter_context(edged(folder, config, "--print"))
            heard = daemon
        print(f"a street, 80 s of it, as fast as this machine goes; topics edged/v1/{SITE}/{DEVICE}/…\n")
        show(heard, seen)
        code = daemon.wait(60)
        published = published_events(folder)
        if code:
            print(f"\nthe daemon failed with exit code {code}:\n{(folder / LOG).read_text()[-2000:]}")
    speed_fps = frames / (time.monotonic() - started_s)
    return report(seen, published, code, speed_fps)


def demo_clip() -> Path:
    """The recording: in the checkout, else where the wheel put it."""
    checkout = ROOT / "tests/data/vtest.mp4"
    return checkout if checkout.exists() else Path(sys.prefix) / "share/edged/demo/vtest.mp4"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child that does not outlive the block."""
    child = subprocess.Popen(command, text=True, **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(10)


@contextmanager
def broker(folder: Path, port: int, program: str) -> Iterator[None]:
    """mosquitto on loopback, for this demo only."""
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
    with process([program, "-c", str(settings)], stderr=subprocess.DEVNULL) as child:
        wait_for(port, child)
        print(f"broker      mosquitto on 127.0.0.1:{port}, pid {child.pid}")
        yield


def wait_for(port: int, child: subprocess.Popen[str]) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if child.poll() is None and probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AdapterError("start", "mosquitto", f"port {port} does not answer", "does `mosquitto -v` start?")


@contextmanager
def subscriber(port: int) -> Iterator[subprocess.Popen[str]]:
    """An independent client that prints topic and payload of everything, as a central system would see it."""
    command = ["mosquitto_sub", "-V", "5", "-q", "1", "-h", "127.0.0.1", "-p", str(port)]
    command += ["-t", f"edged/v1/{SITE}/#", "-F", "%t %p"]
    with process(command, stdout=subprocess.PIPE) as child:
        print(f"subscriber  mosquitto_sub -V 5 -t 'edged/v1/{SITE}/#', pid {child.pid}")
        yield child


@contextmanager
def edged(folder: Path, config: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The daemon as itself; its log goes to `daemon.log`."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), "--state-dir", str(folder)]
    with (folder / LOG).open("w") as log:
        out = subprocess.PIPE if more else None
        with process([*command, *more], stdout=out, stderr=log) as child:
            print(f"daemon      edged run, pid {child.pid}")
            yield child


def hang_up(heard: subprocess.Popen[str], daemon: subprocess.Popen[str]) -> None:
    """End the subscriber once the daemon has gone, whatever it went of."""
    daemon.wait()
    time.sleep(LAST_MESSAGES_S)
    heard.terminate()


def show(heard: subprocess.Popen[str], seen: Seen) -> None:
    """Print events as they arrive, until the daemon says that it has stopped."""
    for topic, payload in messages(heard):
        if "/event/" in topic and seen.add(payload):
            print(sentence(topic, payload), flush=True)
        elif topic.endswith("/status"):
            print(f"             {topic}: {payload['state']}", flush=True)
            if payload["state"] == "stopped":
                return


def messages(heard: subprocess.Popen[str]) -> Iterator[tuple[str, Any]]:
    for line in heard.stdout or ():
        topic, _, payload = line.partition(" ")
        if payload.startswith("{"):
            yield topic, json.loads(payload)


def sentence(topic: str, event: dict[str, Any]) -> str:
    """One event in one line: local clock, topic, and what it says."""
    data, kind = event["data"], topic.rsplit("/", 1)[1]
    if kind == "dwell":
        what = f"{data['zone']:<11} {data['dwell_s']:5.1f} s, {data['ended']}"
    else:
        what = f"{data['line']:<11} today {data['totals']['entry']} in, {data['totals']['exit']} out"
    return f"{event['time'][11:19]}  {ARROWS.get(kind, '·')} {kind:<6} {what}"


def published_events(folder: Path) -> int:
    """How many events the daemon has numbered: what its outbox says once it has ended."""
    outbox = Outbox(folder / "outbox.db")
    text = outbox.books
    outbox.close()
    return books.load(text).ledger.sequence if text else 0


def report(seen: Seen, published: int, code: int, speed_fps: float) -> int:
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\n{'':<22}{'true':>8}{'counted':>9}")
    for what, true, counted in (
        ("entries", TRUE_ENTRIES, seen.totals["entry"]),
        ("exits", TRUE_EXITS, seen.totals["exit"]),
    ):
        print(f"{what:<22}{true:>8}{counted:>9}  {'exact' if true == counted else 'WRONG'}")
    print(f"\n{'events published':<22}{published:>8}\n{'events received':<22}{len(seen.ids):>8}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.kinds.items()))
    print(f"{'of these':<22}  {kinds}")
    print(f"{'speed':<22}{speed_fps:>8.0f} frames/s on {os.cpu_count()} cores, start to end")
    print(f"{'peak memory':<22}{peak_mb:>8.0f} MB")
    whole = published == len(seen.ids) > 0 and code == 0
    print("\nEvery published event was received." if whole else "\nNOT every published event was received.")
    return 0 if whole else 1
