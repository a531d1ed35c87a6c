"""Our tracker beside those of the `trackers` library, fed with the same detections, by the standard scores.

Runs in the environment of the extra `peers`, whose `trackers.eval` keeps to TrackEval's definitions:

  make accuracy, or .venv/peers/bin/python -m tests.bench.peers [--json out.json]

A peer gets the better of its default thresholds and of thresholds made for this detector's scores. Of every
tracker all boxes of a track count, from its first on, once the track has been confirmed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.core.tracker import Tracker
from edge.core.values import Box, Detection, Frame
from tests.bench import seen
from tests.bench.clips import SHARED, Clip, frames, load

Row = tuple[int, int, float, float, float, float]  # frame from 1, id, x, y, width, height
Found = list[tuple[Frame, tuple[Detection, ...]]]
SCORES = ("IDF1", "MOTA", "HOTA", "IDSW")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=SHARED / "data/clips.json")
    parser.add_argument("--remember", type=Path, metavar="FILE", help="look at each picture only once, ever")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.clips.exists():
        print(f"no reference clips at {args.clips}: set EDGED_SHARED or give --clips")
        return 2
    sequences = {clip.path: clip for clip in load(args.clips) if clip.boxes}
    results = [
        {"sequence": name, "tracker": tracker} | scores
        for clip in sequences.values()
        for name, found in detected(clip, args.remember)
        for tracker, scores in compared(clip, found)
    ]
    print(f"{'sequence':<34}{'tracker':<12}" + "".join(f"{score:>8}" for score in SCORES))
    for row in results:
        print(f"{row['sequence']:<34}{row['tracker']:<12}" + "".join(f"{row[score]:>8}" for score in SCORES))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


def detected(clip: Clip, remember: Path | None) -> Iterable[tuple[str, Found]]:
    """The sequence with our detections, and with the public ones where there are some."""
    detector = seen.detector(remember)
    yield f"{clip.path.stem}, our detections", [(f, detector.detect(f.pixels)) for f in frames(clip.path)]
    if clip.detections:
        public: dict[int, list[Detection]] = {}
        for row in np.loadtxt(clip.detections, delimiter=","):
            x, y, w, h, score = row[2:7].tolist()
            public.setdefault(int(row[0]) - 1, []).append(Detection(Box(x, y, x + w, y + h), score))
        found = [(f, tuple(public.get(f.index, ()))) for f in frames(clip.path)]
        yield f"{clip.path.stem}, public detections", found


def compared(clip: Clip, found: Found) -> Iterable[tuple[str, dict[str, float]]]:
    from trackers import ByteTrackTracker, OCSORTTracker

    assert clip.boxes is not None
    fps = 1 / (found[1][0].monotonic_s - found[0][0].monotonic_s)
    common = {"frame_rate": fps, "lost_track_buffer": 75}  # at 30 frames/s: the memory that ours has, 2.5 s
    byte = [{}, {"track_activation_threshold": 0.45, "high_conf_det_threshold": 0.45}]
    oc = [{}, {"high_conf_det_threshold": 0.45}]
    yield "ours", score(clip.boxes, ours(found))
    for name, make, choices in (("ByteTrack", ByteTrackTracker, byte), ("OC-SORT", OCSORTTracker, oc)):
        tries = [score(clip.boxes, theirs(make, common | choice, found)) for choice in choices]
        yield name, max(tries, key=lambda one: one["IDF1"])


def ours(found: Found) -> list[Row]:
    tracker, confirmed = Tracker(), set[int]()
    rows: list[Row] = []
    for frame, detections in found:
        tracks = tracker.update(detections, frame)
        confirmed |= {track.id for track in tracks if track.confirmed}
        rows += [_row(frame.index, track.id, track.box) for track in tracks if track.seen]
    return [row for row in rows if row[1] in confirmed]


def theirs(make: Callable[..., Any], settings: dict[str, float], found: Found) -> list[Row]:
    import supervision as sv

    tracker, rows = make(**settings), list[Row]()
    for frame, detections in found:
        corners = [(d.box.x1, d.box.y1, d.box.x2, d.box.y2) for d in detections]
        given = sv.Detections(
            xyxy=np.array(corners).reshape(-1, 4),
            confidence=np.array([d.score for d in detections]),
            class_id=np.zeros(len(detections), int),
        )
        tracked = tracker.update(given)
        if tracked.tracker_id is not None:
            pairs = zip(tracked.tracker_id.tolist(), tracked.xyxy.tolist(), strict=True)
            rows += [_row(frame.index, number, Box(*box)) for number, box in pairs if number >= 0]
    return rows


def _row(index: int, number: int, box: Box) -> Row:
    return index + 1, number, box.x1, box.y1, box.width, box.height


def score(truth: Path, rows: Sequence[Row]) -> dict[str, float]:
    """IDF1, MOTA and HOTA in per cent, and the number of identity switches."""
    from trackers.eval import evaluate_mot_sequence

    boxes = np.loadtxt(truth, delimiter=",")
    people: list[Row] = [(int(f), int(who), x, y, w, h) for f, who, x, y, w, h, sure, *_ in boxes if sure]
    with tempfile.TemporaryDirectory() as folder:
        true, found = Path(folder, "true.txt"), Path(folder, "found.txt")
        true.write_text(_mot17(people))
        found.write_text(_mot17(rows))
        result = evaluate_mot_sequence(true, found, metrics=["CLEAR", "HOTA", "Identity"])
    return {
        "IDF1": round(100 * result.Identity.IDF1, 1),
        "MOTA": round(100 * result.CLEAR.MOTA, 1),
        "HOTA": round(100 * result.HOTA.HOTA, 1),
        "IDSW": result.CLEAR.IDSW,
    }


def _mot17(rows: Iterable[Row]) -> str:
    """The later MOTChallenge format, where the seventh to ninth columns are used, class and visibility."""
    return "".join(",".join(map(str, row)) + ",1,1,1\n" for row in sorted(rows))


if __name__ == "__main__":
    sys.exit(main())
