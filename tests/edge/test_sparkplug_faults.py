"""Each clause's test is able to fail: a fault in a good story, or in the node itself, that it must notice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.sparkplug import codec, link, node, session
from edge.sparkplug.codec import Metric, Payload, Type, encode
from tests.edge import test_sparkplug_births, test_sparkplug_data, test_sparkplug_sessions
from tests.edge.conftest import Played
from tests.edge.sparkplug_faults import FAULTS
from tests.edge.sparkplug_story import Story, whole
from tests.edge.sparkplug_wire import Transcript

PREFIX = "test_tck_id_"
MODULES = test_sparkplug_births, test_sparkplug_data, test_sparkplug_sessions
CLAUSES = {
    name.removeprefix(PREFIX): test
    for module in MODULES
    for name, test in vars(module).items()
    if name.startswith(PREFIX)
}


@pytest.fixture
def stories(played: Played) -> tuple[Story, Story]:
    """Both stories, without fault, over MQTT 5."""
    return played("5")


def fails(name: str, seen: Story, with_host: Story) -> bool:
    """Whether a clause's test notices something."""
    given = {"seen": seen, "with_host": with_host, "protocol": "5"}
    test = CLAUSES[name]
    try:
        test(**{key: given[key] for key in inspect.signature(test).parameters})
    except Exception:
        return True
    return False


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_story_is_noticed_by_the_tests_of_its_clauses(fault: str, stories: tuple[Story, Story]) -> None:
    change, expected = FAULTS[fault]
    faulty_stories = change(stories[0]), change(stories[1])
    noticed = {name for name in CLAUSES if fails(name, *faulty_stories)}
    assert set(expected.split()) <= noticed
    assert len(noticed) < len(CLAUSES) / 2, "a fault, not a ruin"


def test_a_story_without_fault_is_noticed_by_none(stories: tuple[Story, Story]) -> None:
    assert not [name for name in CLAUSES if fails(name, *stories)]


def names_in_data(patch: pytest.MonkeyPatch) -> None:
    plain = node.EdgeNode.data

    def data(self: Any, change: Any, now: int, **more: Any) -> node.Publication:
        made = plain(self, change, now, **more)
        read = codec.decode(made.body)
        metrics = tuple(replace(m, name="a name", alias=None, type=Type.STRING, value="") for m in read.metrics)
        return replace(made, body=encode(Payload(metrics, read.timestamp, read.seq)))

    patch.setattr(node.EdgeNode, "data", data)


def another_will(patch: pytest.MonkeyPatch) -> None:
    plain = node.EdgeNode.will

    def will(self: Any, bdseq: int) -> node.Publication:
        made = plain(self, bdseq)
        return replace(made, body=encode(Payload((Metric(bdseq + 1, Type.INT64, "bdSeq"),)), typed=True))

    patch.setattr(node.EdgeNode, "will", will)


def data_at_qos_1(patch: pytest.MonkeyPatch) -> None:
    plain = link.Link.publish
    patch.setattr(link.Link, "publish", lambda self, said: plain(self, replace(said, qos=1)))


def sequence_from_1(patch: pytest.MonkeyPatch) -> None:
    plain = node.EdgeNode._next

    def following(self: Any, metrics: Any, now: int) -> Payload:
        made = plain(self, metrics, now)
        return replace(made, seq=((made.seq or 0) + 1) % 256)

    patch.setattr(node.EdgeNode, "_next", following)


def alive_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session.Session, "leave", lambda self: (session.Do.DROP,))


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (sequence_from_1, "topics_nbirth_seq_num"),
        (another_will, "topics_nbirth_bdseq_matching topics_nbirth_bdseq_increment"),
        (names_in_data, "payloads_alias_data_cmd_requirement"),
        (data_at_qos_1, "topics_nbirth_mqtt topics_dbirth_mqtt topics_ndata_mqtt topics_ddata_mqtt topics_ddeath_mqtt"),
        (alive_for_ever, "operational_behavior_edge_node_intentional_disconnect_ndeath"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_planted_in_the_node_is_noticed(
    plant: Callable[[pytest.MonkeyPatch], None],
    expected: str,
    broker: Any,
    monkeypatch: pytest.MonkeyPatch,
    stories: tuple[Story, Story],
) -> None:
    monkeypatch.setattr(session, "RETRY_S", (0.05, 0.1))
    plant(monkeypatch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transcript, "until", patient(Transcript.until))
        seen = whole(broker)
    assert set(expected.split()) <= {name for name in CLAUSES if fails(name, seen, stories[1])}


def patient(until: Callable[..., Any]) -> Callable[..., Any]:
    """A faulty node may never do what the story waits for: then the story goes on."""

    def wait(self: Transcript, enough: Callable[[Transcript], Any]) -> Any:
        try:
            return until(self, enough, 0.5)
        except pytest.fail.Exception:
            return None

    return wait


def test_every_clause_has_a_fault() -> None:
    planted = "topics_nbirth_seq_num payloads_alias_data_cmd_requirement"
    covered = {name for _, expected in FAULTS.values() for name in expected.split()} | set(planted.split())
    assert covered == set(CLAUSES)
