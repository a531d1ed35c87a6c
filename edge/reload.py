"""A changed config while the daemon runs: what can be taken at once, and what waits for a restart."""

from __future__ import annotations

from edge.config import Camera, Config
from edge.section import Section

LIVE = frozenset({"lines", "zones", "ignore", "near_view"})  # of a camera


def merged(running: Config, wanted: Config) -> Config:
    """The config that can be had without a restart: what runs, with the wanted lines, zones and masks, and
    the wanted word about Home Assistant."""
    after = {camera.id: camera for camera in wanted.cameras}
    cameras = tuple(_redrawn(camera, after.get(camera.id, camera)) for camera in running.cameras)
    mqtt = running.mqtt.model_copy(update={"home_assistant": wanted.mqtt.home_assistant})
    return running.model_copy(update={"cameras": cameras, "mqtt": mqtt})


def left_out(had: Config, wanted: Config) -> list[str]:
    """The keys whose change has to wait for a restart, as the installer knows them."""
    found = [key for name in Config.model_fields if name != "cameras" for key in _changed(had, wanted, name)]
    before, after = ({camera.id: camera for camera in config.cameras} for config in (had, wanted))
    found += [f"camera {name}" for name in sorted(before.keys() ^ after.keys())]
    for name in sorted(before.keys() & after.keys()):
        found += [
            f"{key} of camera {name}"
            for key in Camera.model_fields
            if getattr(before[name], key) != getattr(after[name], key)
        ]
    return found


def _changed(had: Section, wanted: Section, name: str) -> list[str]:
    """`name`, or the keys of that section, where the two differ: mqtt.tls.ca_file."""
    before, after = getattr(had, name), getattr(wanted, name)
    if before == after:
        return []
    if not isinstance(before, Section) or not isinstance(after, Section):
        return [name]
    keys = [key for inner in type(before).model_fields for key in _changed(before, after, inner)]
    return [f"{name}.{key}" for key in keys]


def _redrawn(camera: Camera, like: Camera) -> Camera:
    return camera.model_copy(update={key: getattr(like, key) for key in LIVE})
