"""The installer's card: edged.yaml from the boot partition is installed atomically, its secrets apart.

Rules. A file that is wrong changes nothing on the device. Secrets move into root's own files under new names,
so that the previous config keeps the ones it names. The card keeps the config with its secrets blanked, under
another name, so that each file is taken once. Flash cannot be erased securely: whoever takes the card apart
may still find the old bytes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge.config import load
from edge.yamlpos import PlainLoader, Problem

NAME, TAKEN, LOG = "edged.yaml", "edged-imported.yaml", "edged-import.log"
BLANK = "moved to the device"
FILE_KEYS = ("password_file", "ca_file", "cert_file", "key_file")


@dataclass(slots=True)
class Taken:
    """A config text with its secrets taken out: for the device, for the card, and the secrets by file name.

    `emptied` are the files of the card whose content moved.
    """

    device: str
    card: str
    secrets: dict[str, bytes] = field(default_factory=dict)
    emptied: list[Path] = field(default_factory=list)


def adopt(card: Path, etc: Path) -> tuple[Problem, ...]:
    """Install `card`/edged.yaml as `etc`/edged.yaml; what stands in the way, or nothing. Raises OSError."""
    source, target = card / NAME, etc / NAME
    vault = etc / "secrets"
    try:
        taken = take_secrets(source.read_text(encoding="utf-8-sig"), card, vault)
    except (yaml.YAMLError, ValueError):
        return load(source)[1]  # what is wrong with it, in the usual words
    vault.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, secret in taken.secrets.items():
        write(vault / name, secret, 0o600)
    staged = etc / f".{NAME}.new"
    write(staged, taken.device.encode(), 0o644)
    _, problems = load(staged)
    if problems:
        staged.unlink()
        for name in taken.secrets:
            (vault / name).unlink()
        return tuple(Problem(str(source), p.line, p.path, p.text) for p in problems)
    if target.exists():
        write(etc / f"{NAME}.previous", target.read_bytes(), 0o644)
    os.replace(staged, target)
    forget_unused(vault, [target, etc / f"{NAME}.previous"])
    blank(card, taken)
    return ()


def take_secrets(text: str, card: Path, vault: Path) -> Taken:
    """Every `password:` becomes a `password_file:`, and every file beside the config moves with it."""
    taken = Taken(text, text)
    # From the end, so that the positions before stay right.
    for key, value in reversed(list(secret_nodes(yaml.compose(text, PlainLoader)))):
        start, end = key.start_mark.index, value.end_mark.index
        name = f"{key.value.removesuffix('_file')}-{secrets.token_hex(4)}"
        if key.value == "password":
            taken.secrets[name] = value.value.encode() + b"\n"
            taken.card = f"{taken.card[:start]}password: {BLANK}{taken.card[end:]}"
        elif (beside := card / value.value).is_file() and beside.parent == card:
            taken.secrets[name] = beside.read_bytes()
            taken.emptied.append(beside)
        else:
            continue
        field_name = "password_file" if key.value == "password" else key.value
        taken.device = f"{taken.device[:start]}{field_name}: {vault / name}{taken.device[end:]}"
    return taken


def secret_nodes(root: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.ScalarNode]]:
    """The keys that hold or name a secret, with their values, in the file's order."""
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if isinstance(value, yaml.ScalarNode):
                if key.value in ("password", *FILE_KEYS):
                    yield key, value
            else:
                yield from secret_nodes(value)
    elif isinstance(root, yaml.SequenceNode):
        for item in root.value:
            yield from secret_nodes(item)


def blank(card: Path, taken: Taken) -> None:
    """Overwrite what was secret on the card, then give the config the name that says that it was taken."""
    for path in taken.emptied:
        write_over(path, b"")
    write_over(card / NAME, taken.card.encode())
    os.replace(card / NAME, card / TAKEN)


def forget_unused(vault: Path, configs: list[Path]) -> None:
    """Remove the secrets that neither the config nor the previous one names."""
    named = "".join(path.read_text(encoding="utf-8") for path in configs if path.exists())
    for path in vault.iterdir():
        if str(path) not in named:
            path.unlink()


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file as a whole, on disk when this returns; nobody ever sees half of it."""
    beside = path.with_name(path.name + ".tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.replace(beside, path)


def write_over(path: Path, content: bytes) -> None:
    """Overwrite in place with blanks first, as far as a file system lets one; FAT has no modes to keep."""
    with path.open("r+b") as file:
        file.write(b" " * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        file.truncate()
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
