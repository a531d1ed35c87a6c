"""Home Assistant's discovery: one entity for each thing the contract already says, and their removal."""

from __future__ import annotations

import json

import pytest

from edge.core.schema import DECLARATIONS
from edge.core.wire import Contract, Refused, Scopes
from tests.messages import BASE, CAMERA, CAMERAS, CONTRACT, DEVICE, LINE, ZONE


def announced(contract: Contract = CONTRACT) -> dict[str, dict[str, str]]:
    components: dict[str, dict[str, str]] = json.loads(contract.discovery({}).payload)["components"]
    return components


def test_the_device_is_announced_with_its_lines_zones_and_its_own_state() -> None:
    message = CONTRACT.discovery({})
    assert message.topic == "homeassistant/device/edged-park-north/config"
    assert message.retain
    assert {name.removeprefix("edged-park-north-") for name in announced()} == {
        "connectivity",
        "problem",
        f"{CAMERA}-{LINE}-entry",
        f"{CAMERA}-{LINE}-exit",
        f"{CAMERA}-{ZONE}-occupancy",
        f"{CAMERA}-{ZONE}-dwell",
    }


def test_every_entity_reads_a_topic_that_the_contract_has() -> None:
    topics = {
        declaration.address.format(
            site=DEVICE.site, device=DEVICE.device, camera=CAMERA, scope=scope, group=CAMERA
        )
        for declaration in DECLARATIONS.values()
        for scope in (LINE, ZONE)
    }
    assert {entity["state_topic"] for entity in announced().values()} <= topics


def test_all_but_connectivity_are_unavailable_while_the_device_is_away() -> None:
    without = [name for name, entity in announced().items() if "availability_topic" not in entity]
    assert without == ["edged-park-north-connectivity"]
    assert announced()["edged-park-north-problem"]["availability_topic"] == f"{BASE}/status"


def test_an_entity_that_is_gone_is_named_by_its_platform_alone() -> None:
    payload = json.loads(CONTRACT.discovery({"edged-park-north-entrance-old-entry": "sensor"}).payload)
    assert payload["components"]["edged-park-north-entrance-old-entry"] == {"platform": "sensor"}


def test_the_message_of_the_largest_device_fits() -> None:
    long = "x" * 32
    scopes = {f"{i}{long[1:]}": Scopes(frozenset({long}), frozenset({long})) for i in range(8)}
    assert len(Contract(DEVICE, scopes).discovery({}).payload) <= DECLARATIONS["discovery"].bytes_max


def test_free_text_is_refused_here_too() -> None:
    fields = json.loads(CONTRACT.discovery({}).payload)
    fields["device"]["name"] = "Jane Doe's shop"
    with pytest.raises(Refused):
        CONTRACT.seal("discovery", fields)


def test_one_line_less_is_one_pair_of_entities_less() -> None:
    fewer = Contract(DEVICE, {CAMERA: Scopes(frozenset(), CAMERAS[CAMERA].zones)})
    assert len(announced(fewer)) == len(announced()) - 2
