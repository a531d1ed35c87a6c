"""One connection to an MQTT broker, and nothing about what it is used for.

A fresh paho client for every connection, a clean start, and no thread of paho's: its socket is driven by the
caller, so its callbacks run in the caller's thread. Every failure is an AdapterError that says what to do.
"""

from __future__ import annotations

import select
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.core.values import Message
from edge.ports import AdapterError

WINDOW = 50
KEEPALIVE_S = 30
CONNECT_S = 5.0
# The will waits this long, so that a short break of the network is not announced as an end.
WILL_DELAY_S = 10
WARN_DAYS = 30
WEAKER = (
    "MQTT 3.1.1: a broker cannot say that it refused a message, so one that its rules deny is lost in silence"
)

HINTS = {
    "Bad user name or password": "check mqtt.username and the password file",
    "Not authorized": "check mqtt.username and the password file, and the user's rights",
    "Session taken over": "another client uses this device id: give each device its own",
    "certificate has expired": "renew the certificate",
    "not yet valid": "this device's clock is wrong: let it reach a time server (timedatectl status)",
    "unable to get local issuer certificate": "mqtt.tls.ca_file is not the broker's authority",
    "self-signed certificate": "mqtt.tls.ca_file is not the broker's authority",
    "mismatch": "mqtt.host must be the name in the broker's certificate",
    "Connection refused": "is the broker running, on this port?",
    "Name or service not known": "check mqtt.host and the name server",
    "timed out": "check the network and the firewall",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM. No `ca_file` trusts the system's authorities; certificate and key are for mutual TLS."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Broker:
    """Where and as whom to connect. The password is read from its file at every connection."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password_file: Path | None = None
    tls: Tls | None = None
    version: str = "5"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Bell(Protocol):
    """Readable by `select` when its owner has something new."""

    def fileno(self) -> int: ...

    def clear(self) -> None: ...


class Connection:
    """From CONNECT to the end of one TCP connection. `will` is what the broker says when it just breaks.

    `window` is how many messages may be under way at once, `packet_bytes_max` what the broker accepts.
    Raises AdapterError when it cannot be opened and when it is lost.
    """

    def __init__(self, broker: Broker, will: Message) -> None:
        self._broker = broker
        self._v5 = broker.version == "5"
        self._refused: str | None = None
        self._connected = False
        self._lost: str | None = None
        self._acknowledged: list[tuple[int, str | None]] = []
        self.weakness = "" if self._v5 else WEAKER
        self.window = WINDOW
        self.packet_bytes_max: int | None = None
        self._client = self._make_client(will)
        self._open()

    def _make_client(self, will: Message) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._v5 else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(0)  # the window is kept by the publisher
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.will_set(
            will.topic, will.payload, qos=1, retain=will.retain, properties=self._will_properties()
        )
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._password())
        if self._broker.tls is not None:
            client.tls_set_context(self._tls_context(self._broker.tls))
        return client

    def _will_properties(self) -> Properties | None:
        if not self._v5:
            return None
        properties = _properties(PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = WILL_DELAY_S
        return properties

    def _password(self) -> str | None:
        path = self._broker.password_file
        if path is None:
            return None
        try:
            return path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise self._error("read the password for", type(error).__name__, f"check {path}") from None

    def _tls_context(self, tls: Tls) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
            if tls.cert_file is not None:
                context.load_cert_chain(tls.cert_file, tls.key_file)
        except OSError as error:  # ssl.SSLError is one
            raise self._error("prepare TLS for", str(error), "check the files under mqtt.tls") from None
        return context

    def _open(self) -> None:
        properties = None
        if self._v5:
            properties = _properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = WILL_DELAY_S  # else the will does not wait
        try:
            self._client.connect(
                self._broker.host,
                self._broker.port,
                KEEPALIVE_S,
                clean_start=True if self._v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=properties,
            )
        except (OSError, ValueError) as error:
            raise self._error("connect to", getattr(error, "verify_message", "") or str(error)) from None
        deadline_s = time.monotonic() + CONNECT_S
        while not self._connected:
            if time.monotonic() > deadline_s:
                self.drop()
                raise self._error("connect to", "the broker does not answer", "is this an MQTT port?")
            self.exchange(deadline_s - time.monotonic())

    def publish(self, message: Message, properties: tuple[tuple[str, str], ...] = ()) -> int:
        """Send with QoS 1; the number under which `acknowledged` will speak of it."""
        extra = None
        if properties and self._v5:
            extra = _properties(PacketTypes.PUBLISH)
            extra.UserProperty = list(properties)
        info = self._client.publish(message.topic, message.payload, 1, message.retain, extra)
        return info.mid

    def fits(self, message: Message) -> bool:
        """Whether the broker takes so large a packet; 64 bytes are more than header and properties need."""
        size = len(message.topic) + len(message.payload) + 64
        return self.packet_bytes_max is None or size <= self.packet_bytes_max

    def exchange(self, timeout_s: float, bell: Bell | None = None) -> None:
        """Wait for the network or the bell, at most so long, and do what the protocol wants done."""
        sock = self._client.socket()
        if sock is not None:
            poller = select.poll()
            poller.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
            if bell is not None:
                poller.register(bell, select.POLLIN)
            pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
            ready = dict(poller.poll(0 if pending else max(0, int(timeout_s * 1000))))
            if bell is not None and bell.fileno() in ready:
                bell.clear()
            if pending or ready.get(sock.fileno(), 0) & ~select.POLLOUT:
                self._client.loop_read()
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
        if self._client.socket() is None:
            raise self._end()

    def _end(self) -> AdapterError:
        """Why the connection is gone."""
        if self._connected:
            return self._error("stay connected to", self._lost or "it closed the connection")
        if self._refused:
            return self._error("connect to", self._refused)
        hint = (
            "if it wants a certificate of this device: check mqtt.tls.cert_file" if self._broker.tls else ""
        )
        return self._error("connect to", "it closed the connection before its answer", hint)

    def acknowledged(self) -> list[tuple[int, str | None]]:
        """What was acknowledged since the last call: its number, and the reason if the broker refused it."""
        taken, self._acknowledged = self._acknowledged, []
        return taken

    @property
    def tls(self) -> str:
        """The protocol, and whose certificate the broker has from whom; empty without TLS."""
        sock = self._client.socket()
        if not isinstance(sock, ssl.SSLSocket):
            return ""
        told = sock.getpeercert() or {}
        broker, authority = (_common_name(told.get(role, ())) for role in ("subject", "issuer"))
        return f"{sock.version()}, its certificate is that of {broker} by {authority}"

    def certificates(self) -> list[str]:
        """Warnings about those that end within WARN_DAYS: the broker's, and ours."""
        tls, sock = self._broker.tls, self._client.socket()
        if tls is None or not isinstance(sock, ssl.SSLSocket):
            return []
        ends = {"the broker's certificate": _ends_s(sock)}
        if tls.cert_file is not None:
            ends[f"the device's certificate {tls.cert_file}"] = _pem_ends_s(tls.cert_file)
        days = {name: (end_s - time.time()) / 86_400 for name, end_s in ends.items() if end_s is not None}
        return [
            f"{name} ends in {left:.0f} days: renew it" for name, left in days.items() if left < WARN_DAYS
        ]

    def drop(self) -> None:
        """Close without a word: the broker will publish the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Say goodbye: the broker forgets the will."""
        self._client.disconnect()
        self.drop()

    def _error(self, operation: str, cause: str, hint: str = "") -> AdapterError:
        hint = hint or next((hint for key, hint in HINTS.items() if key in cause), "")
        return AdapterError(operation, f"the broker {self._broker}", cause, hint)

    # -- paho's callbacks, in the caller's thread

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        self._connected = True
        allowed = getattr(properties, "ReceiveMaximum", None)
        self.window = min(WINDOW, allowed or WINDOW)
        self.packet_bytes_max = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        broke = str(reason) == "Unspecified error"
        self._lost = self._lost or ("the connection broke" if broke else str(reason))

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._acknowledged.append((mid, str(reason) if reason.is_failure else None))


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _common_name(names: Any) -> str:
    """From the nested pairs of ssl.SSLSocket.getpeercert."""
    return next((value for name in names for key, value in name if key == "commonName"), "nobody")


def _ends_s(sock: ssl.SSLSocket) -> float | None:
    told = (sock.getpeercert() or {}).get("notAfter")
    return ssl.cert_time_to_seconds(told) if isinstance(told, str) else None


def _pem_ends_s(path: Path) -> float:
    from cryptography.x509 import load_pem_x509_certificate  # only mutual TLS needs it, and it is large

    return load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
