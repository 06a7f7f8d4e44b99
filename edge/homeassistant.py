"""Home Assistant finds every camera by itself (MQTT discovery): retained messages under its discovery prefix.

Each camera gives three entities: a gas sensor that is on while a leak stands, the plume's share of the view, and a
problem sensor that is on while alarms are held, since a blind camera sees no leak. All are unavailable
while the device is offline. Required keys: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from edge import __version__
from edge.mqtt import TOPICS

PROJECT = "fgstp-edge"


def discovery(prefix: str, device: str, cameras: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to publish, retained, as (topic, payload)."""
    for camera in cameras:
        alarm, event = TOPICS["alarm"].path(device, camera), TOPICS["event"].path(device, camera)
        leak = {
            "name": "Gas leak",
            "device_class": "gas",
            **_switch(alarm, "value_json.active"),
            "json_attributes_topic": alarm,
        }
        area = {
            "name": "Plume",
            "state_topic": event,  # at most one a second, and only during a leak: every state goes into its database
            "value_template": "{{ (value_json.area_share * 100) | round(2) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:smoke",
        }
        blind = {
            "name": "View",
            "device_class": "problem",
            "entity_category": "diagnostic",
            **_switch(alarm, "value_json.held"),
        }
        for component, key, entity in (
            ("binary_sensor", "leak", leak),
            ("sensor", "plume", area),
            ("binary_sensor", "blind", blind),
        ):
            name = _plain(f"{device}_{camera}_{key}")
            yield f"{prefix}/{component}/{name}/config", {"unique_id": name, **entity, **_common(device, camera)}


def _switch(topic: str, condition: str) -> dict[str, Any]:
    return {
        "state_topic": topic,
        "value_template": f"{{{{ 'ON' if {condition} else 'OFF' }}}}",
        "payload_on": "ON",
        "payload_off": "OFF",
    }


def _common(device: str, camera: str) -> dict[str, Any]:
    return {
        "availability_topic": TOPICS["status"].path(device),
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "device": {
            "identifiers": [_plain(f"{PROJECT}_{device}_{camera}")],
            "name": f"{device} {camera}",
            "manufacturer": PROJECT,
            "model": "gas-leak camera",
            "sw_version": __version__,
        },
        "origin": {"name": PROJECT, "sw_version": __version__},
    }


def _plain(name: str) -> str:
    """Node and object ids may hold letters, digits, - and _ only; other characters become their code, so that
    "a.b" and "a_b" stay two names."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"-{ord(found[0]):x}-", name)
