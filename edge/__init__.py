"""edged: the camera that counts people and forgets them.

One process turns a camera into anonymous entry, exit and dwell events over MQTT. Frames come in from a
source, a detector finds people, a tracker follows them, lines and zones turn their paths into events, and
only what `core.wire` declares can leave. No picture is ever written or sent.
"""

__version__ = "0.1.0"
