"""What Home Assistant reads: its discovery messages, and its templates over our messages."""

from __future__ import annotations

import json
import queue
import re

import jinja2
import pytest

from edge import mqtt, payload
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.condition import Condition, step
from edge.homeassistant import discovery
from edge.mqtt import Publisher
from edge.records import Quality
from edge.rules import AlarmSettings
from tests.edge.summaries import UTC, summary
from tests.edge.test_mqtt import ONLINE, STOPPED, WILL, until_connected

# https://www.home-assistant.io/integrations/mqtt/#discovery-topic
TOPIC = re.compile(r"^homeassistant/(binary_sensor|sensor)/([a-zA-Z0-9_-]+)/config$")


def found() -> dict[str, dict]:
    return dict(discovery("homeassistant", "box-1", ["north", "south.2"]))


def leak() -> tuple[payload.Payload, payload.Payload]:
    """The alarm and the first event of a leak."""
    state, events = Condition(), []
    for index in range(100):
        state, new = step(state, summary(index), AlarmSettings(), camera="north")
        events += new
    return payload.alarm([Place(Alarm("north"), state)], "north", UTC), payload.event(events[0])


def rendered(template: str, said: payload.Payload) -> str:
    """As Home Assistant renders a value_template: Jinja2 with the message as value_json."""
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(value_json=said)


def test_each_camera_has_three_entities_under_valid_topics_with_ids_of_their_own():
    messages = found()
    assert [TOPIC.match(topic)[1] for topic in messages] == ["binary_sensor", "sensor", "binary_sensor"] * 2
    assert len({entity["unique_id"] for entity in messages.values()}) == 6
    assert len({entity["device"]["identifiers"][0] for entity in messages.values()}) == 2
    for entity in messages.values():
        assert {"state_topic", "value_template", "name", "unique_id", "device", "origin"} <= set(entity)
        assert entity["origin"]["name"]  # required by discovery since 2024.2
        assert entity["state_topic"].startswith("fgstp/box-1/")


def test_names_that_differ_only_in_a_dot_stay_apart():
    same = {topic for topic, _ in discovery("homeassistant", "box", ["a.b", "a_b", "a-b"])}
    assert len(same) == 9


def test_its_templates_read_our_messages():
    gas, plume, view = list(found().values())[:3]
    assert (gas["device_class"], view["device_class"]) == ("gas", "problem")
    alarm, event = leak()
    calm = payload.alarm([Place(Alarm("north"))], "north", UTC)
    assert rendered(gas["value_template"], alarm) == gas["payload_on"]
    assert rendered(gas["value_template"], calm) == gas["payload_off"]
    blind = payload.alarm([Place(Alarm("north"))], "north", UTC, camera_lost=True)
    astray = payload.alarm(
        [Place(Alarm("north"), Condition(quality=Quality.MOVING | Quality.UNREGISTERED))], "north", UTC
    )
    assert rendered(view["value_template"], blind) == rendered(view["value_template"], astray) == "ON"
    assert rendered(view["value_template"], calm) == "OFF"
    assert float(rendered(plume["value_template"], event)) == round(event["area_share"] * 100, 2)
    assert rendered(gas["availability_template"], ONLINE) == gas["payload_available"]
    assert rendered(gas["availability_template"], WILL) == gas["payload_not_available"]


@pytest.mark.parametrize("kind", ["alarm", "event", "status"])
def test_the_topics_are_those_that_we_publish_on(kind):
    used = {value for entity in found().values() for key, value in entity.items() if key.endswith("_topic")}
    assert mqtt.TOPICS[kind].path("box-1", "north") in used
    assert used <= {mqtt.TOPICS[k].path("box-1", c) for k in mqtt.TOPICS for c in ("north", "south.2")}


def test_announcements_wait_at_the_broker_for_home_assistant(broker):
    publisher = Publisher(broker, "box-1", will=WILL)
    publisher.announce(discovery("homeassistant", "box-1", ["north"]))
    publisher.start()
    publisher.publish("status", ONLINE)
    arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    until_connected(publisher)
    publisher.close(STOPPED)
    late = mqtt.subscribe(broker, "ha", ["homeassistant/#"], lambda *message: arrived.put(message))
    heard = dict(arrived.get(timeout=10) for _ in range(3))
    assert {topic: json.loads(text) for topic, text in heard.items()} == dict(
        discovery("homeassistant", "box-1", ["north"])
    )
    late.disconnect()
    late.loop_stop()
