"""The text of `manifest.toml`: the cards, with what can be computed put in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

HEADER = """# The only list of what the daemon may load. A file whose SHA-256 is not here is refused.
# Written by `make models` from models/build/cards.toml: change that, not this.
schema = 1
"""


def write(cards: dict, sources: dict, models: Path) -> str:
    parts = [HEADER]
    for name, card in cards.items():
        content = (models / card["file"]).read_bytes()
        source = sources[card["source"]]
        computed = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "source": f"{source['registry']}: {source['package']} {source['version']}, sha256 {source['sha256']}",
        }
        parts.append(f"[models.{name}]\n" + "".join(_line(*item) for item in (card | computed).items()))
    return "\n".join(parts)


def _line(key: str, value: object) -> str:
    return f"{key} = {_value(value)}\n"


def _value(value: object) -> str:
    """JSON is TOML for texts, numbers and lists; only tables differ."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
