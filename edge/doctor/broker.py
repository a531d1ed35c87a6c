"""The broker: its certificates, the login, and the right to publish on every topic."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count

from edge import app, sandbox
from edge.adapters import mqtt
from edge.core.schema import DECLARATIONS, Declaration
from edge.core.values import Message
from edge.core.wire import Contract, Place
from edge.doctor.findings import Check, Patient, Verdict, failure, ok, warn_if
from edge.ports import AdapterError

ACKNOWLEDGE_S = 10.0


def check_broker(patient: Patient) -> Iterator[Check]:
    """Connection, certificates, login, and the right to publish on every topic."""
    config = patient.config
    contract = app.contract_of(config, patient.file)
    broker = app.broker_of(config.mqtt, f"edged-{config.site}-{config.device}-doctor")
    asked = probes(contract, home_assistant=config.mqtt.home_assistant)
    try:
        with closing(mqtt.Connection(broker, asked[0])) as connection:
            secured = f" with {connection.tls}" if connection.tls else ""
            yield ok("broker", f"connected to {broker}{secured}")
            yield from about_secrecy(patient)
            for warning in connection.certificates():
                yield Check("broker", Verdict.WARNING, warning, "have whoever issued it renew it")
            yield may_publish(connection, asked)
    except AdapterError as error:
        yield failure("broker", error)


def about_secrecy(patient: Patient) -> Iterator[Check]:
    """A password that would travel in the clear, unless it stays on the device."""
    mqtt = patient.config.mqtt
    local = sandbox.allowed(mqtt.host) == sandbox.LOCALHOST or mqtt.host.startswith("127.")
    if mqtt.password_file and not mqtt.tls and not local:
        found = "the password travels unencrypted: whoever shares the network can read it"
        yield Check("broker", Verdict.WARNING, found, "give the broker a certificate, and set mqtt.tls")


def may_publish(connection: mqtt.Connection, asked: Sequence[Message]) -> Check:
    """Every probe is sent; the broker's answers tell."""
    waiting = {connection.publish(probe): probe.topic for probe in asked}
    refused, until_s = [], time.monotonic() + ACKNOWLEDGE_S
    while waiting and time.monotonic() < until_s:
        connection.exchange(0.2)
        for number, reason in connection.acknowledged():
            topic = waiting.pop(number)
            if reason is not None:
                refused.append(topic)
    if lacking := [*refused, *waiting.values()]:
        found = f"may not publish on {len(lacking)} of {len(asked)} topics, such as {lacking[0]}"
        remedy = "give the device's user the right to write edged/v1/<site>/<device>/#"
        return Check("broker", Verdict.FAILURE, found, remedy)
    return warn_if(
        bool(connection.weakness), "broker", f"may publish on all {len(asked)} topics", connection.weakness
    )


def probes(contract: Contract, *, home_assistant: bool) -> list[Message]:
    """A message for every topic that this device publishes on, none retained: they ask, and tell nothing.

    They are empty. But an empty count withdraws its line, so there it is that of a line that is none; and
    an empty discovery removes the device, so there it is the one that the daemon sends.
    """
    blank = replace(contract.status("online"), payload=b"")
    scopes = [scope for known in contract.cameras.values() for scope in known.lines | known.zones]
    nobody = next(name for n in count() if (name := f"doctor-{n}") not in scopes)
    found = {blank.topic: blank}
    for declaration in DECLARATIONS.values():
        if declaration.kind.startswith("count"):
            messages = [contract.withdrawn(Place(camera, nobody)) for camera in contract.cameras]
        elif declaration.kind == "discovery":
            messages = [contract.discovery({})] if home_assistant else []
        else:
            messages = [replace(blank, topic=topic) for topic in topics(contract, declaration)]
        found |= {message.topic: replace(message, retain=False) for message in messages}
    return list(found.values())


def topics(contract: Contract, declaration: Declaration) -> list[str]:
    """Every topic of this kind of message."""
    device = contract.device
    places = {
        None: [Place()],
        "group": [Place(group) for group in contract.groups],
        "line": [Place(c, line) for c, known in contract.cameras.items() for line in known.lines],
        "zone": [Place(c, zone) for c, known in contract.cameras.items() for zone in known.zones],
    }[declaration.scope]
    return [
        declaration.address.format(
            site=device.site, device=device.device, camera=at.camera, scope=at.scope, group=at.camera
        )
        for at in places
    ]
