"""docs/scada.md says what the code does: its tables and examples are compared with it."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from edge import payload
from edge.alarm import Alarm
from edge.annunciator import REMEMBERED, Place
from edge.command import Command, parse
from edge.lifecycle import ACKNOWLEDGED, LEADS_TO, SENSIBLE, Cause, State
from edge.mqtt import STALE_S, TOPICS, UPDATE_S
from edge.records import Quality
from tests.conftest import check
from tests.edge.summaries import UTC

TEXT = (Path(__file__).parents[2] / "docs" / "scada.md").read_text(encoding="utf-8")
LETTERS = dict(zip("ABCDEFGHI", State, strict=True))


def table(first: str) -> list[list[str]]:
    """The rows of the table whose heading begins with this cell."""
    _, found, rest = TEXT.partition(f"\n| {first} |")
    assert found, f"no table begins with {first}"
    lines = rest.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_table_of_topics_is_that_of_the_code():
    said = {kind: cells[:4] for kind, *cells in table("kind")}
    assert said == {
        kind: [
            topic.pattern.format(device="<device>", camera="<camera>"),
            str(topic.qos),
            "yes" if topic.retain else "no",
            "no" if topic.kept is None else topic.kept.name.lower(),
        ]
        for kind, topic in TOPICS.items()
    }
    assert "updates expire there after an hour, summaries and health after a minute" in TEXT
    assert (UPDATE_S, STALE_S) == (3600, 60)
    assert {kind for kind, topic in TOPICS.items() if topic.expires_s == STALE_S} == {"summary", "health"}


def test_every_reason_is_listed_with_the_quality_that_it_makes():
    said = {reason: (word, held) for reason, word, held, _ in table("reason")}
    assert said.pop("camera_lost") == ("bad", "yes")
    made = {flag.names[0]: payload.quality(flag) for flag in Quality if flag.value}
    assert said == {name: (one["quality"], "yes" if one["held"] else "no") for name, one in made.items()}


def test_the_table_of_states_is_that_of_the_code():
    rows = table("state")
    assert [(word, letter) for word, letter, *_ in rows] == [(s.value, letter) for letter, s in LETTERS.items()]
    for word, _, stands, acknowledged, announced, _ in rows:
        state = State(word)
        assert acknowledged == ("false" if state.unacknowledged else "true")
        assert announced == ("no" if state.hidden else "yes")
        assert (stands == "either") == state.hidden


def test_every_cause_is_explained():
    by_itself = {cause for cause, *_ in table("cause")}
    assert by_itself == {cause.value for cause in Cause} - {cause.value for cause in SENSIBLE}


def test_the_table_of_commands_is_that_of_the_code():
    rows = table("command")
    assert {command for command, *_ in rows} == {cause.value for cause in SENSIBLE}
    for command, states, leads_to, needs in rows:
        cause = Cause(command)
        sensible = [LETTERS[letter] for letter in states.split(", ")]
        assert set(sensible) == SENSIBLE[cause]
        if cause is Cause.ACK:
            assert [LETTERS[letter] for letter in leads_to.split(", ")] == [ACKNOWLEDGED[s] for s in sensible]
        elif cause in LEADS_TO:
            assert LETTERS[leads_to] is LEADS_TO[cause]
        assert ("duration_s" in needs) == (command == "shelve")
    assert f"The last {REMEMBERED} are remembered" in TEXT
    for field in set(Command.model_fields) - {"command", "duration_s"}:
        assert f"\n- `{field}`" in TEXT


def test_its_commands_are_commands():
    lines = [line for line in blocks("sh")[0].replace("\\\n", "").splitlines() if line]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        options = dict(zip(words[1::2], words[2::2], strict=True))
        assert options["-t"] == TOPICS["cmd"].path("box-1", "north")
        assert isinstance(parse(options["-m"].encode()), Command)
        check("cmd", options["-m"])


@pytest.mark.parametrize("kind", ["alarm", "alarm_event", "reply"])
def test_its_messages_are_valid(kind):
    [text] = blocks(f"json {kind}")
    check(kind, text)


def test_the_node_red_flow_is_wired_and_asks_for_what_there_is():
    nodes = {node["id"]: node for node in json.loads(blocks("json node-red")[0])}
    for node in nodes.values():
        assert {target for wires in node.get("wires", []) for target in wires} <= set(nodes)
        assert node.get("z", "fg-tab") == "fg-tab"
    assert nodes["fg-in"]["topic"] == TOPICS["alarm_event"].path("+", "+")
    assert nodes["fg-in"]["broker"] in nodes
    known = json.loads((payload.SCHEMAS / "alarm_event.json").read_text())["properties"]
    used = re.findall(r"payload\.(\w+)", json.dumps(list(nodes.values())))
    assert "id" in used
    assert set(used) <= set(known)
    assert nodes["fg-new"]["rules"][0]["v"] in known["to"]["enum"]


def rendered(template: str, said: dict[str, Any] | None = None) -> str:
    made = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template)
    return made.render(value_json=said, now=lambda: datetime.now(timezone.utc))


def test_the_home_assistant_example_reads_our_messages_and_writes_a_command():
    light, button = (next(iter(entity.values())) for entity in yaml.safe_load(blocks("yaml")[0])["mqtt"])
    assert light["state_topic"] == TOPICS["alarm"].path("box-1", "north")
    assert light["availability_topic"] == TOPICS["status"].path("box-1")
    for state, wanted in (("unacknowledged", "ON"), ("acknowledged", "OFF"), ("shelved", "OFF")):
        said = payload.alarm([Place(Alarm("north", state=State(state)))], "north", UTC)
        assert rendered(light["value_template"], said) == wanted
    assert button["command_topic"] == TOPICS["cmd"].path("box-1", "north")
    assert isinstance(parse(rendered(button["command_template"]).encode()), Command)
