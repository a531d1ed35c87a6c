"""The central system's side: a subscription that forgets nothing, and PostgreSQL.

Its rules. With a name the broker keeps the session while the listener is away. A message is acknowledged to
the broker only after it was taken (with PostgreSQL: committed). A row is written once, however often its
event arrives.
"""

from __future__ import annotations

import queue
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.core.intake import Reading
from edge.core.terms import VERSION
from edge.ports import AdapterError

if TYPE_CHECKING:
    import psycopg

SESSION_S = 7 * 86_400
UNACKNOWLEDGED_MAX = 1_000

SCHEMA = """
-- One row an event, interval or digest, written once. `data` is the CloudEvent's, by the contract's schemas.
CREATE TABLE IF NOT EXISTS edged_event (
    site     text        NOT NULL,
    device   text        NOT NULL,
    id       text        NOT NULL,   -- device:boot:number
    number   bigint      NOT NULL,
    kind     text        NOT NULL,
    camera   text        NOT NULL,
    scope    text        NOT NULL,   -- the line or zone
    at       timestamptz NOT NULL,   -- when it happened
    stored   timestamptz NOT NULL DEFAULT clock_timestamp(),
    data     jsonb       NOT NULL,
    PRIMARY KEY (site, device, id)
);
CREATE INDEX IF NOT EXISTS edged_event_at ON edged_event (kind, at);

-- People by hour and line.
CREATE OR REPLACE VIEW edged_footfall_hour AS
SELECT site, device, camera, scope AS line, date_trunc('hour', at) AS hour,
       count(*) FILTER (WHERE kind = 'entry') AS entries, count(*) FILTER (WHERE kind = 'exit') AS exits
FROM edged_event WHERE kind IN ('entry', 'exit') GROUP BY 1, 2, 3, 4, 5;

-- People by the shop's own day and line.
CREATE OR REPLACE VIEW edged_footfall_day AS
SELECT site, device, camera, scope AS line, (data->>'date')::date AS day,
       count(*) FILTER (WHERE kind = 'entry') AS entries, count(*) FILTER (WHERE kind = 'exit') AS exits
FROM edged_event WHERE kind IN ('entry', 'exit') GROUP BY 1, 2, 3, 4, 5;

-- How long people stay, by hour and zone.
CREATE OR REPLACE VIEW edged_dwell_hour AS
SELECT site, device, camera, scope AS zone, date_trunc('hour', at) AS hour, count(*) AS visits,
       avg((data->>'dwell_s')::float) AS mean_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY (data->>'dwell_s')::float) AS p50_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY (data->>'dwell_s')::float) AS p90_s
FROM edged_event WHERE kind = 'dwell' GROUP BY 1, 2, 3, 4, 5;

-- Whether a day is whole: the device's digest against the rows.
CREATE OR REPLACE VIEW edged_completeness AS
SELECT d.site, d.device, (d.data->>'date')::date AS day,
       (d.data->>'last')::bigint - (d.data->>'first')::bigint + 1 AS numbered, count(e.id) AS stored
FROM edged_event d LEFT JOIN edged_event e ON e.site = d.site AND e.device = d.device
     AND e.number BETWEEN (d.data->>'first')::bigint AND (d.data->>'last')::bigint
WHERE d.kind = 'digest' GROUP BY 1, 2, 3, 4;
"""


class Subscription:
    """All that the devices of `site` (of every site, with +) publish; a message stays until acknowledged.

    `client_id` names a session that the broker keeps for a week; without one nothing is kept.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        site: str = "+",
        login: tuple[str, str | None] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._topic = f"edged/{VERSION}/{site}/#"
        self._messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _client, _data, message: self._messages.put(message)
        if login is not None:
            self._client.username_pw_set(*login)
        if tls is not None:
            self._client.tls_set_context(tls)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S if client_id else 0
        properties.ReceiveMaximum = UNACKNOWLEDGED_MAX
        try:
            self._client.connect(host, port, clean_start=not client_id, properties=properties)
        except OSError as error:
            raise AdapterError("connect to", f"the broker {host}:{port}", str(error)) from None
        self._client.loop_start()

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe(self._topic, qos=1)

    def take(self, timeout_s: float, most: int = 500) -> list[paho.MQTTMessage]:
        """What has come, waiting for the first so long."""
        taken: list[paho.MQTTMessage] = []
        try:
            taken.append(self._messages.get(timeout=timeout_s))
            while len(taken) < most:
                taken.append(self._messages.get_nowait())
        except queue.Empty:
            pass
        return taken

    def acknowledge(self, messages: Sequence[paho.MQTTMessage]) -> None:
        for message in messages:
            self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Postgres:
    """Events into PostgreSQL, idempotently; the schema and its views are made when they are missing."""

    def __init__(self, dsn: str) -> None:
        try:
            import psycopg
        except ImportError:
            hint = "pip install 'edged[central]'"
            raise AdapterError("use", "PostgreSQL", "psycopg is not installed", hint) from None
        self._error: type[Exception] = psycopg.Error
        try:
            self._db: psycopg.Connection = psycopg.connect(dsn)
            with self._db.transaction():
                self._db.execute(SCHEMA)
        except psycopg.Error as error:
            raise AdapterError("open", "the PostgreSQL database", str(error), "check --postgres") from None

    def store(self, readings: Sequence[Reading]) -> int:
        """Commit the events among them; how many rows were new."""
        rows = [
            (
                r.site,
                r.device,
                r.id,
                r.number,
                r.kind,
                r.camera,
                r.scope,
                r.content["time"],
                r.content["data"],
            )
            for r in readings
            if r.number
        ]
        if not rows:
            return 0
        from psycopg.types.json import Json

        try:
            with self._db.transaction(), self._db.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO edged_event (site, device, id, number, kind, camera, scope, at, data) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    [(*row[:-1], Json(row[-1])) for row in rows],
                )
                return cursor.rowcount
        except self._error as error:
            raise AdapterError("store events in", "PostgreSQL", str(error)) from None

    def close(self) -> None:
        self._db.close()
