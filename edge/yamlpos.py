"""YAML with positions: where each key stands, so that a problem can name its line.

Only plain values come out (mappings, lists, strings, numbers, booleans, null); a date stays the string that
was written, and a key that stands twice is a problem, not a surprise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

Loc = tuple[str | int, ...]
MAX_BYTES = 256 * 1024  # an installer's file has a few hundred lines


class PlainLoader(yaml.SafeLoader):
    """SafeLoader that leaves dates as the strings they were written as, and refuses aliases."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it this way
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # A few aliases of aliases would unfold into gigabytes.
        if self.check_event(yaml.AliasEvent):
            raise ValueError("uses an alias (*name): write the value out where it is used")
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `file:line: path: what and how`."""

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {where}{self.text}"


@dataclass(slots=True)
class Document:
    """A parsed file: plain data, the line of every key, and what could not be parsed."""

    file: str
    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, loc: Loc, text: str) -> Problem:
        """A problem at `loc`, or at the nearest key above it that stands in the file."""
        known = loc
        while known and known not in self.lines:
            known = known[:-1]
        return Problem(self.file, self.lines.get(known, 1), spelled(loc), text)


def spelled(loc: Loc) -> str:
    """("cameras", 0, "source") -> cameras[0].source"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def parse(path: Path) -> Document:
    """The file as data with positions; a file that cannot be read or parsed is a document with a problem."""
    document = Document(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES // 1024} KiB: this is not a config file")
        loader = PlainLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ValueError("holds no settings: start from the file config/edged.yaml of the project")
        twice = list(_index(node, (), document.lines))
        document.data = loader.construct_document(node)
        document.problems = tuple(
            document.problem(loc, "stands twice: remove one of the two") for loc in twice
        )
    except OSError as error:
        document.problems = (document.problem((), f"cannot be read: {error.strerror or error}"),)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        document.lines[()] = mark.line + 1 if mark else 1
        document.problems = (document.problem((), f"is not YAML: {error.problem}: check the indentation"),)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        document.problems = (document.problem((), _one_line(error)),)
    return document


def _one_line(error: Exception) -> str:
    return "is not a text file in UTF-8" if isinstance(error, UnicodeError) else str(error).splitlines()[0]


def _index(node: yaml.Node, loc: Loc, lines: dict[Loc, int]) -> Iterator[Loc]:
    """Note the line of every key below `node`; yield the keys that stand twice."""
    lines.setdefault(loc, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*loc, str(key.value))
            if below in lines:
                yield below
            lines[below] = key.start_mark.line + 1
            yield from _index(value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _index(value, (*loc, position), lines)


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Every complaint of pydantic, in the order of the file, in the installer's words."""
    details = error.errors(include_url=False, include_input=False)
    locs = {tuple(detail["loc"]) for detail in details}
    found = {
        document.problem(loc := tuple(detail["loc"]), _words(detail, loc, model))
        for detail in details
        if not (detail["type"] == "too_short" and _has_below(locs, tuple(detail["loc"])))
    }
    return in_order([*found, *document.problems])


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems as they stand in the file, from top to bottom."""
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.path, problem.text)))


def _has_below(locs: set[Loc], loc: Loc) -> bool:
    """pydantic calls a list too short when its items are wrong: the items' own problems say it better."""
    return any(other[: len(loc)] == loc and len(other) > len(loc) for other in locs)


def _words(detail: Mapping[str, Any], loc: Loc, model: type[BaseModel]) -> str:
    context, text = detail.get("ctx", {}), str(detail["msg"])
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(str(loc[-1]), keys_at(model, loc[:-1]))
        case "missing":
            return f"is missing: add `{loc[-1]}:` with {_purpose(model, loc)}"
        case "value_error":
            return text.removeprefix("Value error, ")
        case "string_pattern_mismatch" if "a-z0-9-" in context["pattern"]:
            return "use 1 to 32 small letters, digits and hyphens, such as door-north"
        case "string_type":
            return "must be text: put it in quotes"
        case "less_than_equal" | "greater_than_equal" if isinstance(loc[-1], int):
            return "points are fractions of the picture, from 0 to 1"
        case _:
            return _lower(text).replace("input should be", "must be").replace("tuple", "list")


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _unknown_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    likely = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
    return f"unknown key: {likely}"


def _purpose(model: type[BaseModel], loc: Loc) -> str:
    """The first sentence of a missing field's own docstring."""
    section = model_at(model, loc[:-1])
    for name, info in section.model_fields.items() if section else ():
        if (info.alias or name) == loc[-1] and info.description:
            return info.description[0].lower() + info.description[1:].rstrip(".")
    return "a value"


def keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the mapping at `loc` may have."""
    section = model_at(model, loc)
    return [info.alias or name for name, info in section.model_fields.items()] if section else []


def model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The section of the config that stands at `loc`."""
    found: type[BaseModel] | None = model
    for part in loc:
        if found is not None and isinstance(part, str):
            fields = {info.alias or name: info.annotation for name, info in found.model_fields.items()}
            found = next(_models_in(fields.get(part)), None)
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
