"""Reads what a device sent over a socket, as MQTT 5, and names what the contract does not explain."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from edge.core.schema import DECLARATIONS, HISTORICAL
from edge.core.terms import ID
from edge.core.wire import Contract

CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14
USER_PROPERTY, WILL_DELAY, SESSION_EXPIRY = 0x26, 0x18, 0x11


@dataclass
class Reader:
    """A cursor over the bytes of one packet."""

    data: bytes
    place: int = 0

    def take(self, size: int) -> bytes:
        self.place += size
        return self.data[self.place - size : self.place]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        return self.take(self.number(2))

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.place)


def packets(stream: bytes) -> Iterator[tuple[int, Reader]]:
    """The whole packets of a stream: type and body; PUBLISH bodies start with the flags."""
    reader = Reader(stream)
    while reader.place < len(stream):
        head = reader.number(1)
        size = reader.varint()
        if reader.place + size > len(stream):
            return
        body = reader.take(size)
        yield head >> 4, Reader(bytes([head & 15]) + body)


@dataclass
class Capture:
    """What the contract explains is counted, what it does not is quoted."""

    contract: Contract
    client_id: bytes
    explained: int = 0
    unexplained: list[bytes] = field(default_factory=list)

    def read(self, stream: bytes) -> None:
        for kind, body in packets(stream):
            if self._is_explained(kind, body):
                self.explained += 1
            else:
                self.unexplained.append(body.data)

    def _is_explained(self, kind: int, body: Reader) -> bool:
        flags = body.number(1)
        if kind == CONNECT:
            return self._connect(body)
        if kind == PUBLISH:
            return self._publish(flags, body)
        return kind in (PINGREQ, DISCONNECT) and len(body.rest()) <= 2

    def _connect(self, body: Reader) -> bool:
        head = body.text(), body.number(1), body.number(1), body.number(2)
        properties = self._properties(body)
        client_id, will_properties = body.text(), self._properties(body)
        topic, payload = body.text(), body.text()
        return (
            head[0] == b"MQTT"
            and properties.keys() <= {SESSION_EXPIRY}
            and client_id == self.client_id
            and will_properties.keys() <= {WILL_DELAY}
            and self._is_message(topic.decode(), payload)
            and body.rest() == b""
        )

    def _publish(self, flags: int, body: Reader) -> bool:
        topic = body.text().decode()
        if flags & 6:
            body.number(2)
        properties = self._properties(body)
        allowed: list[dict[int, object]] = [{}, {USER_PROPERTY: HISTORICAL}]
        return properties in allowed and self._is_message(topic, body.rest())

    def _properties(self, body: Reader) -> dict[int, object]:
        inner = Reader(body.take(body.varint()))
        found: dict[int, object] = {}
        while inner.place < len(inner.data):
            name = inner.number(1)
            if name == USER_PROPERTY:
                found[name] = inner.text().decode(), inner.text().decode()
            elif name in (WILL_DELAY, SESSION_EXPIRY):
                found[name] = struct.unpack(">I", inner.take(4))[0]
            else:
                found[name] = inner.rest()
        return found

    def _pattern(self, address: str) -> str:
        device = self.contract.device
        ours = address.replace("{site}", device.site).replace("{device}", device.device)
        return re.sub(r"\{\w+\}", lambda _: ID, ours)

    def _is_message(self, topic: str, payload: bytes) -> bool:
        """A kind of the contract has this topic, and writing the payload anew gives the very same bytes."""
        return any(
            re.fullmatch(self._pattern(declaration.address), topic)
            and len(payload) <= declaration.bytes_max
            and (_is_canonical(declaration.kind, payload) or _is_withdrawal(declaration.kind, payload))
            for declaration in DECLARATIONS.values()
        )


def _is_withdrawal(kind: str, payload: bytes) -> bool:
    return kind in ("count_line", "count_zone", "discovery") and payload == b""


def _is_canonical(kind: str, payload: bytes) -> bool:
    declaration = DECLARATIONS[kind]
    try:
        model = declaration.model.model_validate_json(payload)
        return model.model_dump_json(exclude_none=declaration.is_sparse).encode() == payload
    except ValidationError:
        return False
