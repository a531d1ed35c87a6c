"""Builds the Debian package for one architecture and one Python, without emulation.

The wheels of the hashed lock are unpacked for the target beside the package in /usr/lib/edged; the target
byte-compiles them when it installs. Bundled parts are listed in an SBOM (CycloneDX).

  python .ci/deb.py --arch arm64 --python 3.11 --uv .venv/lock/bin/uv
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "systemd"
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}

# Never imported by the daemon: tests, build tools, plug-ins and a delegate for chips that no target has.
UNUSED = (
    ".lock",
    "bin",
    "**/tests",
    "**/*.pyi",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "ai_edge_litert/aot",
    "ai_edge_litert/vendors",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
)

# What lies where, from the checkout to the device.
FILES = {
    "systemd/edged.service": "usr/lib/systemd/system/edged.service",
    "systemd/edged-import.service": "usr/lib/systemd/system/edged-import.service",
    "systemd/edged.sysusers": "usr/lib/sysusers.d/edged.conf",
    "systemd/edged.tmpfiles": "usr/lib/tmpfiles.d/edged.conf",
    "systemd/edged.catalog": "usr/lib/systemd/catalog/edged.catalog",
    "systemd/debian/lintian-overrides": "usr/share/lintian/overrides/edged",
    "systemd/debian/copyright": "usr/share/doc/edged/copyright",
    "config/edged.yaml": "etc/edged/edged.yaml",
    "config/edged.schema.json": "usr/share/edged/edged.schema.json",
    "docs/INSTALL.md": "usr/share/doc/edged/INSTALL.md",
}

# A clock, and what reads a CSI camera; the daemon asks for neither before it needs them.
RECOMMENDED = (
    *("systemd-timesyncd | time-daemon", "python3-gi", "gir1.2-gstreamer-1.0"),
    *("gstreamer1.0-plugins-base", "gstreamer1.0-libcamera", "libcamera-ipa"),
)

CONTROL = """\
Package: edged
Version: {version}
Architecture: {arch}
Maintainer: The edged authors <edged@edged.invalid>
Installed-Size: {kib}
Depends: python3 (>= {python}), python3 (<< {next_python}), systemd (>= 249), libc6 (>= 2.31)
Recommends: {recommends}
Section: net
Priority: optional
Description: camera that counts people and forgets them
 Turns a camera into anonymous entry, exit and dwell events over MQTT. No
 picture leaves the device and none is ever written.
 .
 This package is for Python {python}.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", choices=PLATFORMS, default="amd64")
    parser.add_argument("--python", choices=("3.10", "3.11", "3.13"), default="3.11")
    parser.add_argument("--uv", default="uv", help="the uv that unpacks the wheels")
    parser.add_argument("--version", help="another version than the checkout's, to try upgrades")
    parser.add_argument("--level", type=int, default=6, help="xz level; 0 is gzip, for a quick try")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    args = parser.parse_args()
    version = f"{args.version or own_version()}+py{args.python.replace('.', '')}"
    tree = ROOT / "build" / f"deb-{args.arch}-{args.python}"
    shutil.rmtree(tree, ignore_errors=True)
    library = tree / "usr/lib/edged"
    unpack_wheels(args.uv, library, args.arch, args.python)
    copy_own(library)
    copy_files(tree)
    bom = sbom(library, version)
    write(tree / "usr/share/doc/edged/sbom.cdx.json", json.dumps(bom, indent=1) + "\n")
    write_control(tree, version, args.arch, args.python)
    args.out.mkdir(exist_ok=True)
    package = args.out / f"edged_{version}_{args.arch}.deb"
    squeeze = ["-Zxz", f"-z{args.level}"] if args.level else ["-Zgzip", "-z1"]
    subprocess.run(["dpkg-deb", "--root-owner-group", *squeeze, "-b", tree, package], check=True)
    return 0


def own_version() -> str:
    found = re.search(r'__version__ = "(.+)"', (ROOT / "edge/__init__.py").read_text())
    assert found
    return found[1]


def unpack_wheels(uv: str, library: Path, arch: str, python: str) -> None:
    """The locked wheels for the target, each checked against its hash, less what the daemon never imports."""
    subprocess.run(
        [
            *(uv, "pip", "install", "--quiet", "--no-config", "--link-mode", "copy", "--target", library),
            *("--python-platform", PLATFORMS[arch], "--python-version", python, "--only-binary", ":all:"),
            *("--require-hashes", "--no-deps", "-r", ROOT / ".ci/requirements.lock"),
        ],
        check=True,
    )
    for pattern in UNUSED:
        for path in list(library.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy_own(library: Path) -> None:
    """The package and its models; `python3 /usr/lib/edged` runs it."""
    junk = shutil.ignore_patterns("__pycache__", "build")
    shutil.copytree(ROOT / "edge", library / "edge", ignore=junk)
    shutil.copytree(ROOT / "models", library / "models", ignore=junk)
    shutil.copy(ROOT / "edge/__main__.py", library / "__main__.py")


def copy_files(tree: Path) -> None:
    for source, target in FILES.items():
        write(tree / target, (ROOT / source).read_text())
    shutil.copytree(ROOT / "config/examples", tree / "usr/share/doc/edged/examples")
    command = tree / "usr/bin/edged"
    write(command, '#!/bin/sh\nexec /usr/bin/python3 -I /usr/lib/edged "$@"\n')
    command.chmod(0o755)


def write_control(tree: Path, version: str, arch: str, python: str) -> None:
    changelog = f"edged ({version}) stable; urgency=medium\n\n  * See the project's history.\n\n"
    changelog += " -- The edged authors <edged@edged.invalid>  Thu, 01 Jan 2026 00:00:00 +0000\n"
    doc = tree / "usr/share/doc/edged"
    (doc / "changelog.gz").write_bytes(gzip.compress(changelog.encode(), mtime=0))
    normalise_modes(tree)
    sums, kib = [], 0
    for path in sorted(files(tree)):
        content = path.read_bytes()
        kib += (len(content) + 1023) // 1024
        if not path.is_relative_to(tree / "etc"):
            sums.append(
                f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}\n"
            )
    control = tree / "DEBIAN"
    control.mkdir(mode=0o755)
    major, minor = python.split(".")
    fields = {"version": version, "arch": arch, "kib": kib, "python": python}
    fields["recommends"] = ", ".join(RECOMMENDED)
    write(control / "control", CONTROL.format(next_python=f"{major}.{int(minor) + 1}", **fields))
    write(control / "md5sums", "".join(sums))
    write(control / "conffiles", "/etc/edged/edged.yaml\n")
    for script in ("postinst", "prerm", "postrm"):
        shutil.copy(SYSTEMD / "debian" / script, control / script)
        (control / script).chmod(0o755)


def normalise_modes(tree: Path) -> None:
    """Directories 0755, files 0644, commands 0755: wheels bring all sorts."""
    for path in tree.rglob("*"):
        executable = path.is_dir() or path.parent == tree / "usr/bin"
        path.chmod(0o755 if executable else 0o644)


def sbom(library: Path, version: str) -> dict[str, object]:
    """CycloneDX 1.5: every bundled distribution with its licence, every model with its digest."""
    parts = [*distributions(library), *models(library)]
    described = {"type": "application", "name": "edged", "version": version, "bom-ref": "edged"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": described},
        "components": parts,
    }


def distributions(library: Path) -> Iterator[dict[str, object]]:
    for found in sorted(importlib.metadata.distributions(path=[str(library)]), key=lambda d: d.name.lower()):
        purl = f"pkg:pypi/{found.name.lower().replace('_', '-')}@{found.version}"
        yield {
            "type": "library",
            "name": found.name,
            "version": found.version,
            "purl": purl,
            "bom-ref": purl,
            "licenses": [{"license": {"name": licence_of(found)}}],
        }


def licence_of(part: importlib.metadata.Distribution) -> str:
    """As it says itself: in its metadata, or by the classifier that PyPI shows."""
    told = part.metadata.get("License-Expression") or part.metadata.get("License")
    classifiers = part.metadata.get_all("Classifier") or []
    shown = [line.rsplit(" :: ", 1)[1] for line in classifiers if line.startswith("License :: ")]
    return (told or ", ".join(shown) or "see its files").splitlines()[0][:100]


def models(library: Path) -> Iterator[dict[str, object]]:
    """The model files, with the licences that the manifest states. One file may serve several entries."""
    manifest = (library / "models/manifest.toml").read_text()
    licences = dict(
        re.findall(r'^file = "([^"]+)"$.*?^licence = "([^"]+)"$', manifest, re.MULTILINE | re.DOTALL)
    )
    for path in sorted((library / "models").glob("*.tflite")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield {
            "type": "machine-learning-model",
            "name": path.name,
            "bom-ref": path.name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"license": {"name": licences[path.name]}}],
        }


def files(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if path.is_file())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
