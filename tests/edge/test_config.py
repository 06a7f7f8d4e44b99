"""Every mistake in a configuration is named with its line and key."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from edge.config import Config, load, parse, schema
from edge.errors import ConfigError
from edge.rendering import Range, Rendering
from edge.uplink import SparkplugSettings

GOOD = """\
device: box-7
cameras:
  - name: north
    source: rtsp://camera.local/stream
"""


def test_two_keys_are_enough():
    config = parse(GOOD)
    assert config.cameras[0].name == "north"
    assert config.model.name == "student.int8"
    assert (config.alarm.on_delay_s, config.alarm.off_delay_s) == (3.0, 5.0)
    assert (config.alarm.min_area_share, config.alarm.persistence) == (0.0005, 0.9)
    assert not config.mqtt.required_at_start


MISTAKES = [
    ("alarms:\n  on_delay_s: 1\n", "config:5: alarms: unknown key; did you mean 'alarm'?"),
    ("alarm:\n  on_dely_s: 1\n", "config:6: alarm.on_dely_s: unknown key; did you mean 'on_delay_s'?"),
    ("mqtt:\n  tls:\n    ca_fil: x\n", "config:7: mqtt.tls.ca_fil: unknown key; did you mean 'ca_file'?"),
    ("mqtt:\n  password: x\n", "config:6: mqtt.password: unknown key; did you mean 'password_file'?"),
    ("zebra: 1\n", "config:5: zebra: unknown key; known here: device, cameras"),
    (
        "alarm:\n  persistence: 1.5\n",
        "config:6: alarm.persistence: input should be less than or equal to 1 (got '1.5')",
    ),
    ("alarm:\n  on_delay_s: .nan\n", "config:6: alarm.on_delay_s: input should be"),
    ("outbox:\n  max_byte: 1\n", "config:6: outbox.max_byte: unknown key; did you mean 'max_bytes'?"),
    ("outbox:\n  max_bytes: 10\n", "config:6: outbox.max_bytes: input should be greater than or equal to 100000"),
    ("outbox:\n  replay_per_s: 0\n", "config:6: outbox.replay_per_s: input should be greater than or equal to 1"),
    ("mqtt:\n  queue: 10\n", "config:6: mqtt.queue: unknown key; known here: "),
    ("model:\n  backend: tpu\n", "config:6: model.backend: input should be 'auto', "),
    ("model:\n  threads: many\n", "config:6: model.threads: input should be a valid integer"),
    ("mqtt:\n  protocol: 4\n", "config:6: mqtt.protocol: input should be '5' or '3.1.1'"),
    ("alarm:\n  latchin: true\n", "config:6: alarm.latchin: unknown key; did you mean 'latching'?"),
    ("alarm:\n  shelve_limit_s: 0\n", "config:6: alarm.shelve_limit_s: input should be greater than 0"),
    ("alarm:\n  area_deadband: 2\n", "config:6: alarm.area_deadband: input should be less than or equal to 1"),
    (
        "alarm:\n  priority:\n    high_area_share: 0.5\n",
        "config:6: alarm.priority: medium_area_share, high_area_share and critical_area_share must",
    ),
    ("mqtt:\n  host: a..b\n", "config:6: mqtt.host: not a host name (got 'a..b')"),
    ("mqtt:\n  fallback: [{host: x, prot: 1}]\n", "config:6: mqtt.fallback.0.prot: unknown key; did you mean 'port'?"),
    ("device: other\n", "config:5: device: this key stands here twice"),
    ("model: {name: a\n", "config:"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_named_with_line_and_key(text, message):
    with pytest.raises(ConfigError) as error:
        parse(GOOD + text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config:1: expected keys"),
        ("- 1\n", "config:1: expected keys"),
        ("device: a\n", "config:1: cameras: this key is required"),
        ("device: a/b\ncameras: [{name: n, source: x}]\n", "config:1: device: string should match pattern"),
        ("device: a\ncameras: []\n", "config:2: cameras: "),
        (GOOD + "    fsp: 3\n", "config:5: cameras.0.fsp: unknown key; did you mean 'fps'?"),
        (GOOD + "    size: big\n", "config:5: cameras.0.size: "),
        (GOOD + "    name: again\n", "config:5: name: this key stands here twice"),
        (GOOD + "  - {name: north, source: b}\n", "config:5: cameras.1.name: 'north' is the name of another camera"),
        ("device: [\n", "config:2: not YAML"),
        ("device: a\x07\n", "config:1: not YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_every_mistake_is_named_in_the_order_of_the_file():
    text = "device: a/b\ncameras:\n  - {name: n, sorce: x}\nalarm:\n  persistence: 2\n  persistence: 3\nzebra: 1\n"
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert [line.split(": ")[:2] for line in error.value.lines] == [
        ["config:1", "device"],
        ["config:3", "cameras.0.sorce"],
        ["config:3", "cameras.0.source"],
        ["config:5", "alarm.persistence"],
        ["config:6", "persistence"],
        ["config:7", "zebra"],
    ]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "binary"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "site.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"site\.yaml: cannot read the configuration"):
        load(file)


ZONE = "    zones:\n      - name: tank\n        polygon: [[0, 0], [1, 0], [1, 1]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ZONE + "        kid: watch\n", "config:8: cameras.0.zones.0.kid: unknown key; did you mean 'kind'?"),
        (ZONE + "        alarm: {on_dely_s: 1}\n", "config:8: cameras.0.zones.0.alarm.on_dely_s: unknown key; did you"),
        (
            ZONE + "        alarm: {priority: {grow: 1}}\n",
            "config:8: cameras.0.zones.0.alarm.priority.grow: unknown",
        ),
        (
            ZONE + "        kind: exclude\n        alarm: {latching: true}\n",
            "config:6: cameras.0.zones.0: alarm: nothing is watched",
        ),
        (ZONE.replace("[1, 1]]", "[2, 1]]"), "config:7: cameras.0.zones.0.polygon.2.0: input should be less than or"),
        (ZONE.replace(", [1, 1]]", "]"), "config:7: cameras.0.zones.0.polygon: tuple should have at least 3 items"),
        (
            ZONE.replace("[1, 1]]", "[0.5, 0]]"),
            "config:6: cameras.0.zones.0: the polygon encloses",
        ),
        (ZONE.replace("tank", "a/b"), "config:6: cameras.0.zones.0.name: string should match pattern"),
        (ZONE + ZONE.partition("\n")[2], "config:5: cameras.0.zones: two zones are named tank"),
    ],
)
def test_a_mistake_in_a_zone_is_named(text, message):
    with pytest.raises(ConfigError) as error:
        parse(GOOD + text)
    assert str(error.value).startswith(message)


def test_a_zone_takes_from_the_device_what_it_does_not_set():
    text = ZONE + "        alarm: {off_delay_s: 5, priority: {growth: null}}\n"
    config = parse(GOOD + text + "alarm: {off_delay_s: 9, on_delay_s: 1, priority: {persistent_s: 60}}\n")
    own = config.cameras[0].zones[0].settings(config.alarm)
    assert (own.off_delay_s, own.on_delay_s) == (5, 1)
    assert (own.priority.growth, own.priority.persistent_s) == (None, 60)


def test_a_zone_that_sets_a_default_on_purpose_has_another_hash_and_survives_a_round_trip():
    plain = parse(GOOD + ZONE + "alarm: {off_delay_s: 9}\n")
    on_purpose = parse(GOOD + ZONE + "        alarm: {off_delay_s: 5}\nalarm: {off_delay_s: 9}\n")
    assert plain.hash != on_purpose.hash
    again = Config.model_validate_json(on_purpose.model_dump_json())
    assert again.cameras[0].zones[0].settings(again.alarm).off_delay_s == 5


def test_the_hash_follows_behaviour_not_spelling():
    same = parse("# a comment\ncameras: [{source: 'rtsp://camera.local/stream', name: north}]\ndevice: box-7\n")
    assert same.hash == parse(GOOD).hash == parse(GOOD + "alarm: {on_delay_s: 3.0}\n").hash
    assert same.hash != parse(GOOD + "alarm: {on_delay_s: 1.6}\n").hash


def test_the_example_is_valid_and_explains_every_key():
    example = Path(__file__).parents[2] / "config.example.yaml"
    text = example.read_text(encoding="utf-8")
    load(example)
    missing = [key for key in _keys(Config) if f"{key}:" not in text]
    assert missing == []


def test_the_examples_commented_sparkplug_section_is_the_default_one():
    text = (Path(__file__).parents[2] / "config.example.yaml").read_text(encoding="utf-8")
    first = text.index("#   group_id:")
    section = text[first : text.index("health:", first)].replace("\n#", "\n")[1:]
    config = parse(f"device: a\ncameras: [{{name: b, source: c}}]\nsparkplug:\n{section}")
    assert config.sparkplug == SparkplugSettings(group_id="plant")


def test_editors_get_a_schema_that_takes_the_example_and_refuses_mistakes():
    check = jsonschema.Draft202012Validator(json.loads(schema()))
    check.check_schema(check.schema)
    example = Path(__file__).parents[2] / "config.example.yaml"
    check.validate(yaml.safe_load(example.read_text(encoding="utf-8")))
    for text, message in MISTAKES:
        if (
            "twice" in message
            or "medium_area_share" in message
            or "a..b" in text
            or ".nan" in text
            or text.endswith("{name: a\n")
        ):
            continue  # what YAML itself says, or a schema cannot
        found = {".".join(map(str, error.absolute_path)) for error in check.iter_errors(yaml.safe_load(GOOD + text))}
        assert len(found) == 1, text
        assert message.split(": ")[1].startswith(found.pop()), text


def _keys(model: type) -> set[str]:
    keys: set[str] = set()
    for name, definition in model.model_json_schema().get("$defs", {}).items():
        keys |= set(definition.get("properties", {})) if name else set()
    return keys | set(model.model_fields)


def camera(extra: str):
    return parse(GOOD + extra).cameras[0]


def test_how_a_camera_draws_is_one_value():
    assert camera("").rendering == Rendering()
    drawn = camera(
        "    palette: ironbow\n    range: [7000, 9000]\n"
        "    ignore: [[0.7, 0, 0.3, 0.1], [[0, 0.9], [0.5, 0.9], [0, 1]]]\n"
    ).rendering
    assert drawn.palette == "ironbow"
    assert drawn.range == Range(7000, 9000)
    assert drawn.ignore == (((0.7, 0), (1, 0), (1, 0.1), (0.7, 0.1)), ((0, 0.9), (0.5, 0.9), (0, 1)))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("    palette: irn\n", "config:5: cameras.0.palette: no such palette; known are iron, ironbow, lava, "),
        ("    range: [9000, 7000]\n", "config:5: cameras.0.range: the first value must be below the second"),
        ("    range: [0, 70000]\n", "config:5: cameras.0.range.1: input should be less than or equal to 65535"),
        ("    ignore: [[0, 0, 2, 1]]\n", "config:5: cameras.0.ignore.0.1.0: input should be less than or equal to 1"),
        ("    ignore: [[[0, 0], [1, 1]]]\n", "config:5: cameras.0.ignore.0: value should have at least 3 items"),
        ("    pixel_format: a b\n", "config:5: cameras.0.pixel_format: string should match"),
        ("    password: x\n", "config:5: cameras.0.password: unknown key; did you mean 'password_file'?"),
    ],
)
def test_what_a_camera_cannot_draw_is_named(extra, message):
    with pytest.raises(ConfigError) as error:
        camera(extra)
    assert str(error.value).startswith(message)
