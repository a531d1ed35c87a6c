"""What spoilt model files would do to the runtime, if nothing stood before it: `python tests/bench/fuzz.py`.

Every file is spoilt (flipped bytes, or cut off), then loaded and run in a forked child of its own; the hash
of the manifest is left out on purpose. Those that run, with other weights than ours, and those that crash are
the reason why a file is hashed before it is loaded, and proven in a child before it is used.

With --self-check the manifest lists each spoilt file by its own hash, and the daemon's self-check judges it:
whatever becomes of its child, here it must end as a verdict, or as one clear error.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import signal
import tempfile
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from edge.adapters import tflite
from edge.adapters.selfcheck import SelfCheck
from edge.ports import ModelError
from tests.adapters.test_tflite import spoilt

SECONDS_MAX = 20
MODELS = tflite.models_dir()


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


def verdict(content: bytes, directory: Path, name: str) -> str:
    """What the self-check says of a spoilt file that the manifest lists; any other end ends this bench."""
    spec = tflite.manifest(MODELS)[name]
    text = (MODELS / "manifest.toml").read_text()
    (directory / "manifest.toml").write_text(text.replace(spec.sha256, sha256(content).hexdigest()))
    (directory / spec.file).write_bytes(content)
    try:
        SelfCheck(directory, [name]).result()
    except ModelError as error:
        if not str(error).startswith(f"cannot run model {name} of {directory}: "):
            raise
        kinds = ("wrong answer", "crashed or hung")
        return next((kind for kind in kinds if kind in str(error)), "refused by the runtime")
    return "as good as the golden answer"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--model", default="face-yunet-192")
    parser.add_argument("--self-check", action="store_true")
    options = parser.parse_args()
    good = tflite.content(MODELS, tflite.manifest(MODELS)[options.model])
    random = np.random.default_rng(0)
    files = (spoilt(good, random) for _ in range(options.files))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(shutil.copy(MODELS / tflite.GOLDEN_PICTURE, place)).parent
        judge = partial(verdict, directory=directory, name=options.model) if options.self_check else fate
        print(json.dumps(collections.Counter(map(judge, files)), indent=1))


if __name__ == "__main__":
    main()
