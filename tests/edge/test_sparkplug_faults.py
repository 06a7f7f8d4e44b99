"""Each clause's test is able to fail: a fault in a good story, or in the node itself, that it must notice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.broker import Broker, free_port, serve
from edge.sparkplug import codec, link, node, session
from edge.sparkplug.codec import Metric, Payload, Type, encode
from tests.edge import test_sparkplug_clauses as clauses
from tests.edge.sparkplug_story import Story, hosted, whole
from tests.edge.sparkplug_wire import Packet, Transcript

PREFIX = "test_tck_id_"
CLAUSES = {name.removeprefix(PREFIX): test for name, test in vars(clauses).items() if name.startswith(PREFIX)}
Change = Callable[[Packet], Packet | None]


@pytest.fixture(scope="module")
def stories(a_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, Story]:
    """Both stories, without fault, over MQTT 5."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
        patch.setattr(session, "RETRY_S", (0.05, 0.1))
        port = free_port()
        with serve(a_broker, port):
            seen = whole(a_broker.settings(port))
        return seen, hosted(a_broker, "5")


def fails(name: str, seen: Story, with_host: Story) -> bool:
    """Whether a clause's test notices something."""
    given = {"seen": seen, "with_host": with_host, "protocol": "5"}
    test = CLAUSES[name]
    try:
        test(**{key: given[key] for key in inspect.signature(test).parameters})
    except Exception:
        return True
    return False


def faulty(story: Story, change: Change) -> Story:
    """The story with each packet changed, or left out where `change` gives None."""
    packets = [changed for packet in story.packets if (changed := change(packet)) is not None]
    return Story(Transcript(packets))


def of(*verbs: str, kind: str = "PUBLISH", **fields: Any) -> Change:
    """Other fields for the client's packets of these verbs."""
    return lambda p: replace(p, **fields) if p.out and p.kind == kind and p.verb in verbs else p


def edit(*verbs: str, how: Callable[[Any], object], kind: str = "PUBLISH") -> Change:
    """Another payload for them; `how` changes the protobuf message."""

    def change(packet: Packet) -> Packet:
        if not packet.out or packet.kind != kind or packet.verb not in verbs:
            return packet
        read = codec._Payload()
        read.ParseFromString(packet.body)
        how(read)
        return replace(packet, body=read.SerializeToString())

    return change


def each(how: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same for every metric of a payload."""
    return lambda payload: [how(metric) for metric in payload.metrics]


def named(name: str, how: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same for the metric of this name."""
    return each(lambda metric: how(metric) if metric.name == name else None)


def topic(*verbs: str, old: str, new: str, kind: str = "PUBLISH") -> Change:
    return lambda p: replace(p, topic=p.topic.replace(old, new)) if p.out and p.kind == kind and p.verb in verbs else p


def without(*verbs: str, **fields: Any) -> Change:
    """Leave out the client's publications of these verbs."""
    return lambda p: None if p.out and p.verb in verbs and all(getattr(p, k) == v for k, v in fields.items()) else p


def once(fits: Callable[[Packet], bool], skip: int = 0) -> Callable[[Story], Story]:
    """Leave out the first packet that fits, after `skip` of them."""

    def change(story: Story) -> Story:
        packets = list(story.packets)
        places = [n for n, packet in enumerate(packets) if fits(packet)]
        del packets[places[skip]]
        return Story(Transcript(packets))

    return change


def published(verb: str) -> Callable[[Packet], bool]:
    return lambda p: p.out and p.kind == "PUBLISH" and p.verb == verb


REBIRTH = "Node Control/Rebirth"
BIRTHS, DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
ALL = (*BIRTHS, *DATA, "DDEATH")


def twice(payload: Any) -> None:
    """Two metrics with one alias, and with names that differ by their case."""
    payload.metrics[3].alias = payload.metrics[4].alias
    payload.metrics[3].name = payload.metrics[4].name.upper()


def forget_values(payload: Any) -> None:
    """A birth that knows nothing."""
    for metric in payload.metrics:
        held = metric.WhichOneof("value")
        if held and metric.name not in ("bdSeq", REBIRTH):
            metric.ClearField(held)
            metric.is_null = True


def jump(payload: Any) -> None:
    payload.seq = 7


def repeat(verb: str) -> Callable[[Story], Story]:
    """A data message that says the same once more, 1 number later."""

    def change(story: Story) -> Story:
        packets: list[Packet] = []
        for packet in story.packets:
            packets.append(packet)
            if published(verb)(packet) and not any(m.historical for m in packet.payload.metrics):
                packets.append(packet)
        return Story(Transcript(packets))

    return change


def moved(verb: str, before: Callable[[Packet], bool]) -> Callable[[Story], Story]:
    """A message of this kind, too early."""

    def change(story: Story) -> Story:
        packets = list(story.packets)
        places = [n for n, p in enumerate(packets) if published(verb)(p)]
        if not places:
            return story
        early = packets.pop(places[0])
        at = next(n for n, p in enumerate(packets) if before(p) and p.connection == early.connection)
        packets.insert(at, early)
        return Story(Transcript(packets))

    return change


def every(change: Change) -> Callable[[Story], Story]:
    return lambda story: faulty(story, change)


FAULTS: dict[str, tuple[Callable[[Story], Story], str]] = {
    "births at QoS 1": (every(of(*BIRTHS, qos=1)), "topics_nbirth_mqtt topics_dbirth_mqtt"),
    "data retained": (
        every(of(*DATA, "DDEATH", retain=True)),
        "topics_ndata_mqtt topics_ddata_mqtt topics_ddeath_mqtt",
    ),
    "NBIRTH elsewhere": (
        every(topic("NBIRTH", old="plant", new="other")),
        "topics_nbirth_topic topic_structure message_flow_device_birth_publish_dbirth_match_edge_node_topic",
    ),
    "DBIRTH elsewhere": (every(topic("DBIRTH", old="/box/", new="/fox/")), "topics_dbirth_topic"),
    "data elsewhere": (every(topic(*DATA, old="box", new="fox")), "topics_ndata_topic topics_ddata_topic"),
    "deaths elsewhere": (
        every(topic("NDEATH", "DDEATH", old="box", new="fox")),
        "topics_ndeath_topic topics_ddeath_topic",
    ),
    "another namespace": (every(topic("DDEATH", old="spBv1.0", new="spAv1.0")), "topic_structure_namespace_a"),
    "no camera in the topic": (
        every(topic("DDEATH", old="/south", new="")),
        "topic_structure_namespace_device_id_associated_message_types",
    ),
    "a camera in the node's topic": (
        every(topic("NDATA", old="/box", new="/box/north")),
        "topic_structure_namespace_device_id_non_associated_message_types",
    ),
    "two cameras of one name": (
        every(topic("DBIRTH", old="south", new="north")),
        "topic_structure_namespace_unique_device_id",
    ),
    "no timestamps": (
        every(edit(*ALL, how=lambda p: p.ClearField("timestamp"))),
        "topics_nbirth_timestamp topics_dbirth_timestamp topics_ndata_timestamp topics_ddata_timestamp"
        " payloads_ddeath_timestamp payloads_timestamp_in_UTC",
    ),
    "metrics without time": (
        every(edit(*BIRTHS, *DATA, how=each(lambda m: m.ClearField("timestamp")))),
        "payloads_name_birth_data_requirement operational_behavior_data_publish_nbirth_order"
        " operational_behavior_data_publish_dbirth_order",
    ),
    "sequence numbers that jump": (
        every(edit("DBIRTH", "NDATA", "DDATA", "DDEATH", how=jump)),
        "topics_dbirth_seq topics_ndata_seq_num topics_ddata_seq_num topics_ddeath_seq_num"
        " payloads_sequence_num_incrementing",
    ),
    "no sequence number": (
        every(edit("DDEATH", how=lambda p: p.ClearField("seq"))),
        "payloads_sequence_num_always_included",
    ),
    "births without some metrics": (
        every(edit(*BIRTHS, how=lambda p: p.metrics.pop())),
        "topics_nbirth_metric_reqs topics_dbirth_metric_reqs operational_behavior_data_publish_nbirth"
        " operational_behavior_data_publish_dbirth",
    ),
    "births without types": (
        every(edit(*BIRTHS, how=each(lambda m: m.ClearField("datatype")))),
        "topics_nbirth_metrics topics_dbirth_metrics payloads_metric_datatype_req topics_nbirth_bdseq_included",
    ),
    "births without values": (
        every(edit(*BIRTHS, how=forget_values)),
        "operational_behavior_data_publish_nbirth_values operational_behavior_data_publish_dbirth_values",
    ),
    "births without aliases": (
        every(edit(*BIRTHS, how=each(lambda m: m.ClearField("alias")))),
        "payloads_alias_birth_requirement",
    ),
    "an alias, and a name in small letters, twice": (
        every(edit("DBIRTH", how=twice)),
        "payloads_alias_uniqueness case_sensitivity_metric_names",
    ),
    "data with types": (
        every(edit(*DATA, how=each(lambda m: setattr(m, "datatype", 10)))),
        "payloads_metric_datatype_not_req",
    ),
    "data without aliases": (
        every(edit(*DATA, how=each(lambda m: m.ClearField("alias")))),
        "payloads_name_requirement",
    ),
    "another quality code": (
        every(edit("DDATA", how=each(lambda m: setattr(m.properties.values[0], "int_value", 64)))),
        "payloads_propertyset_quality_value_value",
    ),
    "rebirth that is true": (
        every(edit("NBIRTH", how=named(REBIRTH, lambda m: setattr(m, "boolean_value", True)))),
        "topics_nbirth_rebirth_metric",
    ),
    "rebirth with an alias": (
        every(edit("NBIRTH", how=named(REBIRTH, lambda m: setattr(m, "alias", 2)))),
        "operational_behavior_data_commands_rebirth_name_aliases",
    ),
    "data before any birth": (
        moved("DDATA", lambda p: p.verb == "NBIRTH"),
        "principles_birth_certificates_order",
    ),
    "data between births": (
        moved("NDATA", lambda p: p.verb == "DBIRTH"),
        "payloads_dbirth_order payloads_ndata_order payloads_ddata_order",
    ),
    "a birth before the subscriptions": (
        moved("NBIRTH", lambda p: p.kind == "SUBSCRIBE"),
        "message_flow_edge_node_birth_publish_connect",
    ),
    "a camera's birth first": (
        moved("DBIRTH", lambda p: p.verb == "NBIRTH"),
        "message_flow_device_birth_publish_nbirth_wait",
    ),
    "data of the node said twice": (repeat("NDATA"), "operational_behavior_data_publish_nbirth_change"),
    "data of a camera said twice": (
        repeat("DDATA"),
        "principles_rbe_recommended operational_behavior_data_publish_dbirth_change",
    ),
    "changes not told": (
        every(edit(*DATA, how=lambda p: p.metrics.pop(0))),
        "topics_ndata_payload topics_ddata_payload",
    ),
    "a session that persists": (
        every(of("NDEATH", kind="CONNECT", clean=False)),
        "principles_persistence_clean_session_311 principles_persistence_clean_session_50",
    ),
    "a will that is retained at QoS 0": (
        every(of("NDEATH", kind="CONNECT", qos=0, retain=True)),
        "payloads_ndeath_will_message_qos payloads_ndeath_will_message_retain",
    ),
    "no will": (every(of("NDEATH", kind="CONNECT", will=False)), "payloads_ndeath_will_message"),
    "a will elsewhere": (
        every(topic("NDEATH", old="box", new="fox", kind="CONNECT")),
        "message_flow_edge_node_birth_publish_will_message_topic",
    ),
    "a will with a sequence number and more": (
        every(edit("NDEATH", kind="CONNECT", how=lambda p: (setattr(p, "seq", 1), p.metrics.add(name="x")))),
        "topics_ndeath_payload topics_ndeath_seq",
    ),
    "one bdSeq for ever": (
        every(edit("NDEATH", kind="CONNECT", how=each(lambda m: setattr(m, "long_value", 0)))),
        "topics_nbirth_bdseq_increment message_flow_edge_node_birth_publish_will_message_payload_bdSeq"
        " topics_nbirth_bdseq_matching",
    ),
    "another bdSeq in the death": (
        every(edit("NDEATH", how=each(lambda m: setattr(m, "long_value", 99)))),
        "payloads_ndeath_bdseq",
    ),
    "no death at the end": (
        every(without("NDEATH", kind="PUBLISH")),
        "operational_behavior_edge_node_intentional_disconnect_ndeath"
        " operational_behavior_edge_node_intentional_disconnect_packet"
        " payloads_ndeath_will_message_publisher_disconnect_mqtt311 message_flow_edge_node_birth_publish_phid_offline"
        " operational_behavior_edge_node_termination_host_offline",
    ),
    "a plain disconnect": (
        every(lambda p: replace(p, reason=0) if p.kind == "DISCONNECT" else p),
        "payloads_ndeath_will_message_publisher_disconnect_mqtt50",
    ),
    "a lost camera that lives on": (every(without("DDEATH")), "operational_behavior_device_ddeath"),
    "no subscriptions": (
        every(lambda p: replace(p, subscriptions=()) if p.kind == "SUBSCRIBE" else p),
        "message_flow_edge_node_ncmd_subscribe message_flow_device_dcmd_subscribe"
        " message_flow_edge_node_birth_publish_phid_wait_id",
    ),
    "no rebirth": (
        once(published("NBIRTH"), skip=1),
        "operational_behavior_data_commands_rebirth_action_1 operational_behavior_data_commands_rebirth_action_2"
        " operational_behavior_data_commands_rebirth_action_3",
    ),
    "births without a word of the host": (
        every(lambda p: None if p.verb == "STATE" and b"true" in p.body else p),
        "message_flow_edge_node_birth_publish_phid_wait operational_behavior_edge_node_birth_sequence_wait",
    ),
    "births though the host is offline": (
        every(lambda p: replace(p, body=p.body.replace(b"true", b"false")) if p.verb == "STATE" else p),
        "message_flow_edge_node_birth_publish_phid_wait_online",
    ),
    "gone because of an old message": (
        every(lambda p: None if p.verb == "DDATA" and p.connection == 0 else p),
        "operational_behavior_edge_node_termination_host_offline_timestamp",
    ),
    "two servers at once": (
        once(lambda p: p.kind == "DISCONNECT"),
        "operational_behavior_primary_application_state_with_multiple_servers_single_server",
    ),
    "the same server again": (
        every(lambda p: replace(p, server=0)),
        "operational_behavior_primary_application_state_with_multiple_servers_walk",
    ),
}


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
        return replace(made, body=encode(Payload((Metric(bdseq + 1, Type.INT64, "bdSeq"),))))

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
        (sequence_from_1, "topics_nbirth_seq_num payloads_sequence_num_zero_nbirth"),
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
    planted = "topics_nbirth_seq_num payloads_sequence_num_zero_nbirth payloads_alias_data_cmd_requirement"
    covered = {name for _, expected in FAULTS.values() for name in expected.split()} | set(planted.split())
    assert covered == set(CLAUSES)
