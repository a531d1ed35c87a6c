"""What a config needs of the sandbox: the holes in the unit are exactly these, and no others.

Addresses: a numeric one is let through alone; a name of the local network opens the private networks, for its
address may change; a name of the internet cannot be pinned, so it opens the network, and the drop-in says so.
Device nodes: only those of the sources that are named; for a CSI camera, those of the board's own image
processor, so the board is looked at. Secrets: handed over by systemd as credentials, so
that the files themselves stay root's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from edge.config import Config, credential_name

LOCALHOST = ("127.0.0.0/8", "::1/128")
PRIVATE = (
    *LOCALHOST,
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10", "224.0.0.251/32", "ff02::fb/128"),
)
LOCAL_NAMES = (".local", ".lan", ".home", ".home.arpa", ".internal", ".localdomain")

# Device nodes are given by the names of /proc/devices, so that a camera may be plugged in late or change its
# number. A Jetson's pictures are taken by NVIDIA's daemon, which is reached by a socket in /tmp.
VIDEO = "DeviceAllow=char-video4linux rw"
RASPBERRY = (VIDEO, "DeviceAllow=char-media rw", "DeviceAllow=char-dma_heap rw")
NVIDIA = (
    *("DeviceAllow=/dev/nvmap rw", "DeviceAllow=char-nvhost* rw", "DeviceAllow=/dev/host1x-fence rw"),
    *("SupplementaryGroups=render", "DeviceAllow=char-drm rw", "BindPaths=-/tmp/argus_socket"),
)
# No page is writable and executable, so GStreamer cannot compile its fast loops while it runs, and would end
# the process: the ones in C do. Its list of what is installed lies in memory, not on flash.
GSTREAMER = (
    *("Environment=ORC_CODE=backup", "Environment=GST_REGISTRY=/run/edged/gstreamer"),
    *("Environment=LIBCAMERA_LOG_LEVELS=*:WARN", "Environment=LIBCAMERA_LOG_NO_COLOR=1"),
)
JETSON = Path("/etc/nv_tegra_release")

HEAD = """\
# Written by `edged apply` from {file}: what that config needs, and nothing else.
# Change the config and run `edged apply` again, not this file.
[Service]
"""


def drop_in(config: Config, file: Path) -> str:
    """The text of edged.service.d/50-config.conf."""
    return HEAD.format(file=file) + "".join(
        f"{line}\n" for line in [*_addresses(config), *_devices(config), *_credentials(config)]
    )


def hosts(config: Config) -> list[str]:
    """The broker and the network cameras, each once, in the config's order."""
    cameras = (urlsplit(camera.source).hostname for camera in config.cameras if "://" in camera.source)
    return list(dict.fromkeys([config.mqtt.host, *filter(None, cameras)]))


def allowed(host: str) -> tuple[str, ...]:
    """The networks that `host` may be in, in CIDR form; ("any",) when it may be anywhere."""
    if host == "localhost":
        return LOCALHOST
    try:
        return (str(ipaddress.ip_network(host)),)
    except ValueError:
        local = "." not in host or host.lower().endswith(LOCAL_NAMES)
        return PRIVATE if local else ("any",)


def _addresses(config: Config) -> Iterator[str]:
    networks: dict[str, None] = {}
    for host in hosts(config):
        found = allowed(host)
        if found == ("any",):
            yield f"# {host} is a name of the internet, whose address may change: no address can be refused."
        networks |= dict.fromkeys(found)
    yield f"IPAddressAllow={'any' if 'any' in networks else ' '.join(networks)}"


def _devices(config: Config) -> Iterator[str]:
    kinds = {camera.source.partition(":")[0] for camera in config.cameras}
    needed = [VIDEO] if "v4l2" in kinds else []
    if "csi" in kinds:
        needed += [*(NVIDIA if JETSON.exists() else RASPBERRY), *GSTREAMER]
    if needed:
        yield from ("PrivateDevices=no", "SupplementaryGroups=video", *dict.fromkeys(needed))


def _credentials(config: Config) -> Iterator[str]:
    files = [config.mqtt.password_file, *(camera.password_file for camera in config.cameras)]
    if tls := config.mqtt.tls:
        files += [tls.ca_file, tls.cert_file, tls.key_file]
    for path in dict.fromkeys(path for path in files if path):
        yield f"LoadCredential={credential_name(path)}:{path}"
