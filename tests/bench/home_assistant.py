"""Has Home Assistant's own MQTT schemas read the discovery message: `make home-assistant`.

Needs the `homeassistant` package (Python 3.13), which the Makefile puts into an environment of its own.
Checks the whole message by the schema for devices, and every entity by the schema of its platform, as Home
Assistant does when the message arrives. Reads the message from standard input.
"""

# mypy: ignore-errors
import asyncio
import json
import sys
import tempfile

from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame

PLATFORMS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}


async def check(message: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        frame.async_setup(HomeAssistant(folder))
        accepted = DEVICE_DISCOVERY_SCHEMA(message)
        for name, component in accepted["components"].items():
            options = {key: value for key, value in component.items() if key != "platform"}
            if options:
                shared = {"device": accepted["device"], "origin": accepted["origin"]}
                PLATFORMS[component["platform"]](options | shared)
            print("accepted" if options else "removed ", name)
    print(f"Home Assistant {__version__} accepts the device and its {len(accepted['components'])} entities")


asyncio.run(check(json.load(sys.stdin)))
