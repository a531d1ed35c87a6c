"""What spoilt model files would do to the runtime, if nothing stood before it: `python tests/bench/fuzz.py`.

Every file is spoilt (flipped bytes, or cut off), then loaded and run in a forked child of its own; the hash
of the manifest is left out on purpose. Those that run, with other weights than ours, and those that crash are
the reason why a file is hashed before it is loaded, and proven in a child before it is used.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal

import numpy as np

from edge.adapters import tflite
from tests.adapters.test_tflite import spoilt

SECONDS_MAX = 20


def fate(content: bytes) -> str:
    """How a child ends that loads and runs these bytes."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(SECONDS_MAX)
        os._exit(run(content))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return {0: "ran", 3: "refused by the runtime"}.get(os.WEXITSTATUS(status), "other")


def run(content: bytes) -> int:
    try:
        interpreter = tflite._runtime().Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (ValueError, RuntimeError):
        return 3
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--model", default="face-yunet-320")
    options = parser.parse_args()
    models = tflite.models_dir()
    good = tflite.content(models, tflite.manifest(models)[options.model])
    random = np.random.default_rng(0)
    fates = collections.Counter(fate(spoilt(good, random)) for _ in range(options.files))
    print(json.dumps(fates, indent=1))


if __name__ == "__main__":
    main()
