"""Accelerators that are not what the config says: one clear warning, and the processor does the work."""

from __future__ import annotations

import ctypes.util
import logging
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from edge.adapters import tflite
from edge.core.manifest import LIBRARIES

MODELS = tflite.models_dir()
# A library of the right kind whose accelerator is not plugged in, and one that does not take our graphs.
SOURCE = """
#include <stdlib.h>
struct delegate { void *data; int (*prepare)(void *, struct delegate *); char rest[240]; };
static int refuse(void *context, struct delegate *self) { return 1; }
void *tflite_plugin_create_delegate(char **keys, char **values, size_t n, void (*report)(const char *)) {
    if (!TAKES) { report("no accelerator answers"); return 0; }
    struct delegate *made = calloc(1, sizeof *made);
    made->prepare = refuse;
    return made;
}
void tflite_plugin_destroy_delegate(void *delegate) { free(delegate); }
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("delegates")
    (folder / "plugin.c").write_text(SOURCE)
    for name, takes in (("unplugged", 0), ("refusing", 1)):
        command = f"gcc -shared -fPIC -DTAKES={takes} -o {name}.so plugin.c"
        subprocess.run(command.split(), cwd=folder, check=True)
    ours = {name: str(folder / f"{name}.so") for name in ("missing", "unplugged", "refusing")}
    return {**ours, "of another kind": str(ctypes.util.find_library("m"))}


@pytest.fixture(autouse=True)
def nobody_was_warned() -> Iterator[None]:
    tflite._give_up.cache_clear()
    yield
    tflite._give_up.cache_clear()


@pytest.mark.parametrize(
    ("library", "cause"),
    [
        ("missing", "cannot open shared object file"),
        ("of another kind", "undefined symbol: tflite_plugin_create_delegate"),
        ("unplugged", "no accelerator answers"),
        ("refusing", "delegate application failure"),
    ],
)
def test_a_library_that_does_not_serve_is_one_warning_and_the_processor_does_the_work(
    library: str, cause: str, libraries: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    delegate = f"external:{libraries[library]}"
    with caplog.at_level(logging.WARNING):
        finder, detector = (tflite.FaceDetector(MODELS, delegate=delegate) for _ in range(2))
    (warned,) = caplog.messages
    assert warned.startswith(f"delegate {delegate} cannot be used (")
    assert cause in warned
    assert warned.endswith("the models run on the CPU instead")
    for one in (finder, detector):
        assert one.detect(np.zeros((90, 160, 3), np.uint8)) == ()
        assert one._network.pieces == 1


@pytest.mark.parametrize("name", ["edgetpu", "gpu"])
def test_named_delegates_fall_back_where_they_are_not_installed(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tflite.FaceDetector(MODELS, delegate=name)
    assert f"delegate {name} cannot be used ({LIBRARIES[name]}: cannot open" in caplog.text
