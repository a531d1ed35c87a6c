"""An RTSP camera for the container: GStreamer's server, which streams a recording from its start to whoever
comes, and may want a login (Digest).

Run by the container's Python: python3 rtsp.py CLIP PORT [USER PASSWORD]
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CLIP, PORT, *LOGIN = sys.argv[1:]
STREAM = f"( filesrc location={CLIP} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
VIEWER = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"

Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service(PORT)
factory.set_launch(STREAM)
if LOGIN:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(*LOGIN, token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.from_string(VIEWER)[0])
server.get_mount_points().add_factory("/stream1", factory)
server.attach(None)
GLib.MainLoop().run()
