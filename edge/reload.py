"""A changed config while the daemon runs: what can be taken at once, and what waits for a restart."""

from __future__ import annotations

from edge.config import Camera, Config

LIVE = frozenset({"lines", "zones", "ignore"})


def merged(running: Config, wanted: Config) -> Config:
    """The config that can be had without a restart: what runs, with the wanted lines, zones and masks."""
    after = {camera.id: camera for camera in wanted.cameras}
    cameras = tuple(_redrawn(camera, after.get(camera.id, camera)) for camera in running.cameras)
    return running.model_copy(update={"cameras": cameras})


def left_out(had: Config, wanted: Config) -> list[str]:
    """The keys whose change has to wait for a restart, as the installer knows them."""
    found = [name for name in Config.model_fields if name != "cameras"]
    found = [name for name in found if getattr(had, name) != getattr(wanted, name)]
    before, after = ({camera.id: camera for camera in config.cameras} for config in (had, wanted))
    found += [f"camera {name}" for name in sorted(before.keys() ^ after.keys())]
    for name in sorted(before.keys() & after.keys()):
        found += [
            f"{key} of camera {name}"
            for key in Camera.model_fields
            if getattr(before[name], key) != getattr(after[name], key)
        ]
    return found


def _redrawn(camera: Camera, like: Camera) -> Camera:
    return camera.model_copy(update={key: getattr(like, key) for key in LIVE})
