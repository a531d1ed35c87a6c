"""A TCP proxy between a device and its broker, for the faults of a network: shut, slow, half-open."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Proxy:
    """Listens on a port of its own. `open_` lets new connections through; `delay_s` holds back what the
    broker says; `silent` swallows everything both ways but keeps the connections: half-open."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.open_, self.silent, self.delay_s = True, False, 0.0
        self.sent: list[bytearray] = []  # by devices, a stream for each connection
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            if not self.open_:
                raise ConnectionRefusedError
            broker = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        self._sockets |= {client, broker}
        self.sent.append(bytearray())
        threading.Thread(target=self._pump, args=(client, broker, self.sent[-1]), daemon=True).start()
        self._pump(broker, client, None)

    def _pump(self, source: socket.socket, sink: socket.socket, record: bytearray | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if record is not None:
                    record += data
                elif self.delay_s:
                    time.sleep(self.delay_s)
                if not self.silent:
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._sockets.discard(end)

    def is_idle(self) -> bool:
        return not self._sockets

    def cut(self) -> None:
        """Break every connection."""
        for end in list(self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.cut()
