"""Counts every clip of a clips.json with the daemon's own pipeline and its defaults, beside what is true.

python tests/bench/accuracy.py                     the clips as they are
python tests/bench/accuracy.py --degraded          and worse recordings of them
python tests/bench/accuracy.py --json out.json     for machines
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from edge.core.values import Event, Moment
from edge.pipeline import Pipeline
from edge.ports import Detector
from tests.bench import seen
from tests.bench.clips import AS_IT_IS, DEGRADED, SHARED, Clip, Variant, Verdict, judge, load


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=SHARED / "data/clips.json")
    parser.add_argument("--only", nargs="*", help="ids of clips")
    parser.add_argument("--degraded", action="store_true")
    parser.add_argument("--remember", type=Path, metavar="FILE", help="look at each picture only once, ever")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.clips.exists():
        print(f"no reference clips at {args.clips}: set EDGED_SHARED or give --clips")
        return 2
    clips = [clip for clip in load(args.clips) if not args.only or clip.id in args.only]
    detector = seen.detector(args.remember)
    verdicts, totals = list[Verdict](), list[str]()
    for variant in (AS_IT_IS, *(DEGRADED if args.degraded else ())):
        print(f"\n{variant.name}\n{'clip':<18}{'true':>10}{'counted':>10}{'matched':>9}  wrong")
        rows = [_shown(run(clip, variant, detector)) for clip in clips]
        exact, wrong, true = sum(row.exact for row in rows), _wrong(rows), sum(row.of for row in rows)
        print(f"{exact} of {len(rows)} exact, {wrong} events wrong of {true}")
        totals.append(f"{variant.name:<26}{wrong:>6}{exact:>6} of {len(rows)}")
        verdicts += rows
    print(f"\n{'recording':<26}{'wrong':>6}{'exact':>6}", *totals, sep="\n")
    if args.json:
        found = [asdict(verdict) | {"exact": verdict.exact} for verdict in verdicts]
        args.json.write_text(json.dumps(found, indent=1))
    return 0 if all(verdict.exact for verdict in verdicts if verdict.variant == AS_IT_IS.name) else 1


def run(
    clip: Clip, variant: Variant, detector: Detector, look: Callable[[Pipeline], None] = lambda _: None
) -> Verdict:
    """One clip through the pipeline, from its first frame to shutdown; `look` is called after each frame."""
    clip = variant.of(clip)
    pipeline, events = Pipeline(clip.scene, detector), list[Event]()
    last = Moment(0, 0.0, 0.0)
    for frame in variant.frames(clip.path):
        events += pipeline.step(frame)
        look(pipeline)
        last = frame.at
    return judge(clip, variant.name, events + pipeline.close(last))


def _shown(verdict: Verdict) -> Verdict:
    wrong = [f"missed {event}" for event in verdict.missed] + [f"extra {event}" for event in verdict.extra]
    matched = f"{verdict.of - len(verdict.missed)}/{verdict.of}"
    print(
        f"{verdict.clip:<18}{verdict.true:>10}{verdict.counted:>10}{matched:>9}  {', '.join(wrong)}",
        flush=True,
    )
    return verdict


def _wrong(rows: Iterable[Verdict]) -> int:
    return sum(max(len(row.missed), len(row.extra)) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
