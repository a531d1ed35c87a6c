"""A message's fields as bytes, if the closed schema of its kind knows all of them; core.wire's last door."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from edge.core.schema import DECLARATIONS, Declaration


class Refused(Exception):
    """Something that the contract does not know was about to leave. Its words hold no value of it."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(f"refused to publish {kind}: {reason}")


def sealed(declaration: Declaration, fields: Mapping[str, object]) -> bytes:
    """JSON for a message of this kind. Raises Refused."""
    try:
        model = declaration.model.model_validate(dict(fields))
        payload = model.model_dump_json(exclude_none=declaration.is_sparse).encode()
    except ValidationError as error:
        raise Refused(declaration.kind, _explain(error)) from None
    if len(payload) > declaration.bytes_max:
        raise Refused(declaration.kind, f"{len(payload)} bytes are more than {declaration.bytes_max}")
    return payload


def _explain(error: ValidationError) -> str:
    """Where and how it does not fit, in words that repeat neither the value nor an unknown field's name."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(part if part in _KNOWN else "?" for part in map(str, first["loc"]))
    return f"{where}: {first['type']}"


def _names(model: type[BaseModel]) -> set[str]:
    nested = [f.annotation for f in model.model_fields.values()]
    inner = [a for a in nested if isinstance(a, type) and issubclass(a, BaseModel)]
    return set(model.model_fields).union(*map(_names, inner))


_KNOWN = frozenset(name for declaration in DECLARATIONS.values() for name in _names(declaration.model))
