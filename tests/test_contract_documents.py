"""The published contract is the one in the code, and real messages keep it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from edge.commands.contract import documents
from edge.core.reference import asyncapi, examples, schemas
from edge.core.schema import DECLARATIONS, Tallies

DOCS = Path(__file__).parent.parent / "docs"


def test_the_documents_are_up_to_date() -> None:
    stale = [path.name for path, text in documents(DOCS).items() if path.read_text() != text]
    assert not stale, "run: edged contract --write docs"


def test_no_schema_is_left_of_a_kind_that_is_gone() -> None:
    assert {path.stem for path in (DOCS / "schemas").iterdir()} == set(DECLARATIONS)


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_every_kind_has_a_closed_schema_that_its_example_keeps(kind: str) -> None:
    schema = schemas()[kind]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    payload = json.loads(examples()[kind].payload)
    validator.validate(payload)
    with pytest.raises(ValidationError, match="face"):
        validator.validate({**payload, "face": "AAAA"})


def test_every_object_of_every_schema_is_closed() -> None:
    for kind, schema in schemas().items():
        assert all(part["additionalProperties"] is False for part in parts(schema, "object")), kind


def test_every_text_every_number_and_every_list_is_bounded() -> None:
    for kind, schema in schemas().items():
        assert all({"const", "enum", "pattern"} & set(part) for part in parts(schema, "string")), kind
        for numeric in ("integer", "number"):
            assert all({"minimum", "maximum"} <= set(part) for part in parts(schema, numeric)), kind
        assert all("maxItems" in part for part in parts(schema, "array")), kind


def parts(schema: object, kind: str) -> list[dict[str, object]]:
    """Every part of a schema that describes values of a JSON type."""
    if isinstance(schema, list):
        return [part for item in schema for part in parts(item, kind)]
    if not isinstance(schema, dict):
        return []
    inner = [part for item in schema.values() for part in parts(item, kind)]
    return [*inner, schema] if schema.get("type") == kind else inner


def test_the_digest_tallies_every_kind_that_takes_a_number() -> None:
    assert set(Tallies.model_fields) == {kind for kind, d in DECLARATIONS.items() if d.is_event}


def test_the_asyncapi_document_only_sends_and_its_references_lead_somewhere() -> None:
    document = asyncapi("0.1.0")
    assert {operation["action"] for operation in document["operations"].values()} == {"send"}
    for reference in references(document):
        found: object = document
        for key in reference.removeprefix("#/").split("/"):
            assert isinstance(found, dict)
            found = found[key]


def references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [reference for value in part.values() for reference in references(value)]
    return [reference for value in part for reference in references(value)] if isinstance(part, list) else []
