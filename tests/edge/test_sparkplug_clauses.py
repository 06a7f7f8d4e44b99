"""What the Sparkplug 3.0 specification asks of an edge node: one test for each clause, named after its `tck-id`.

All of them read the packets of two stories that were played against real brokers (`sparkplug_story`). Each docstring
quotes its clause. `test_sparkplug_faults` shows for each of these tests a fault that makes it fail.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from edge.broker import Broker, free_port, serve
from edge.sparkplug import session
from edge.sparkplug.codec import Metric, Type
from edge.sparkplug.host import HostState, read
from edge.sparkplug.table import CAMERA, NODE, WRITABLE
from tests.edge.sparkplug_story import CAMERAS, GROUP, HOST_ID, Story, hosted, whole
from tests.edge.sparkplug_story import NODE as NAME
from tests.edge.sparkplug_wire import Packet

REBIRTH = "Node Control/Rebirth"
BIRTHS, DATA, ALL = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA"), ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")


@pytest.fixture(scope="module", params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, protocol: str) -> Iterator[pytest.MonkeyPatch]:
    """A state directory for a whole module, and no time to lose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
        patch.setattr(session, "RETRY_S", (0.05, 0.1))
        yield patch


@pytest.fixture(scope="module")
def seen(a_broker: Broker, state: pytest.MonkeyPatch, protocol: str) -> Story:
    """The story of one broker and no primary host."""
    port = free_port()
    with serve(a_broker, port):
        return whole(a_broker.settings(port).model_copy(update={"protocol": protocol}))


@pytest.fixture(scope="module")
def with_host(a_broker: Broker, state: pytest.MonkeyPatch, protocol: str, seen: Story) -> Story:
    """The story of two brokers and a primary host; after the other one, since both use one state directory."""
    return hosted(a_broker, protocol)


def connections(story: Story) -> list[list[Packet]]:
    """The packets of each connection."""
    count = 1 + max(packet.connection for packet in story.packets)
    return [[p for p in story.packets if p.connection == n] for n in range(count)]


def births(story: Story) -> list[Packet]:
    found = story.published("NBIRTH")
    assert len(found) >= 3, "births, a rebirth, and births after the cut"
    return found


def current(packet: Packet) -> dict[str, Metric]:
    return {metric.name or "": metric for metric in packet.payload.metrics}


def unretained(story: Story, verb: str, qos: int = 0) -> None:
    found = story.published(verb)
    assert found
    assert {(packet.qos, packet.retain) for packet in found} == {(qos, False)}


def in_sequence(story: Story, verb: str) -> None:
    """Each message of this kind has the number after the one before it, which is of any kind."""
    checked = 0
    for packets in connections(story):
        sent = [p for p in packets if p.out and p.kind == "PUBLISH" and p.verb in ALL]
        for before, after in itertools.pairwise(sent):
            if after.verb == verb:
                assert after.payload.seq == (before.payload.seq + 1) % 256
                checked += 1
    assert checked


def stamped(story: Story, verb: str) -> None:
    found = story.published(verb)
    assert found
    for packet in found:
        assert (packet.payload.timestamp or 0) > 1_600_000_000_000


def topics(story: Story, verb: str, *expected: str) -> None:
    assert {packet.topic for packet in story.published(verb)} == set(expected)


def states(story: Story) -> list[tuple[int, Packet, HostState]]:
    """The STATE messages that the edge node was given: place in the story, packet, content."""
    found = []
    for place, packet in enumerate(story.packets):
        if packet.verb == "STATE" and not packet.out and packet.kind == "PUBLISH":
            said = read(packet.body)
            assert said is not None
            found.append((place, packet, said))
    assert found
    return found


def state_before(story: Story, place: int) -> HostState | None:
    """What the primary host said last, on that connection, before a packet."""
    packet = story.packets[place]
    said = [s for at, p, s in states(story) if at < place and p.connection == packet.connection and own(p)]
    return said[-1] if said else None


def own(packet: Packet) -> bool:
    return packet.topic == f"spBv1.0/STATE/{HOST_ID}"


def places(story: Story, verb: str) -> list[int]:
    found = [n for n, p in enumerate(story.packets) if p.out and p.kind == "PUBLISH" and p.verb == verb]
    assert found
    return found


# --- Principles and topics -----------------------------------------------------------------------------------------


def test_tck_id_principles_rbe_recommended(seen: Story) -> None:
    """[...] data SHOULD NOT be published from Edge Nodes on a periodic basis and instead SHOULD be published using a
    RBE based approach."""
    values: dict[tuple[int, int], Metric] = {}
    for packet in seen.published():
        if packet.verb in BIRTHS:
            values |= {(packet.connection, m.alias): m for m in packet.payload.metrics if m.alias is not None}
        elif packet.verb in DATA:
            for metric in packet.payload.metrics:
                key = packet.connection, metric.alias
                if not metric.historical:
                    before = values[key]
                    assert (before.value, before.quality) != (metric.value, metric.quality)
                    values[key] = metric


def test_tck_id_principles_birth_certificates_order(seen: Story) -> None:
    """Birth Certificates MUST be the first MQTT messages published by any Edge Node or any Host Application."""
    for packets in connections(seen):
        assert next(p for p in packets if p.out and p.kind == "PUBLISH").verb == "NBIRTH"


def test_tck_id_principles_persistence_clean_session_311(seen: Story, protocol: str) -> None:
    """If the MQTT client is using MQTT v3.1.1, the Edge Node's MQTT CONNECT packet MUST set the 'Clean Session' flag
    to true."""
    for connect in seen.of("CONNECT"):
        assert connect.level == {"5": 5, "3.1.1": 4}[protocol]
        assert connect.clean


def test_tck_id_principles_persistence_clean_session_50(seen: Story) -> None:
    """If the MQTT client is using MQTT v5.0, the Edge Node's MQTT CONNECT packet MUST set the 'Clean Start' flag to
    true and the 'Session Expiry Interval' to 0."""
    for connect in seen.of("CONNECT"):
        assert connect.clean
        assert connect.session_expiry == (0 if connect.level == 5 else None)


def test_tck_id_topic_structure(seen: Story) -> None:
    """All MQTT clients using the Sparkplug specification MUST use the following topic namespace structure:
    namespace/group_id/message_type/edge_node_id/[device_id]"""
    for packet in seen.published():
        levels = packet.topic.split("/")
        assert (levels[1], levels[3]) == (GROUP, NAME)
        assert len(levels) == (5 if levels[2].startswith("D") else 4)


def test_tck_id_topic_structure_namespace_a(seen: Story) -> None:
    """For the Sparkplug B version of the payload definition, the UTF-8 string constant for the namespace element MUST
    be: spBv1.0"""
    assert {p.topic.split("/")[0] for p in seen.packets if p.out and p.kind == "PUBLISH"} == {"spBv1.0"}


def test_tck_id_topic_structure_namespace_device_id_associated_message_types(seen: Story) -> None:
    """The device_id MUST be included with message_type elements DBIRTH, DDEATH, DDATA, and DCMD based topics."""
    found = [p for verb in ("DBIRTH", "DDEATH", "DDATA") for p in seen.published(verb)]
    assert {packet.topic.split("/")[4:][0] for packet in found if packet.topic.count("/") == 4} == set(CAMERAS)
    assert all(packet.topic.count("/") == 4 for packet in found)


def test_tck_id_topic_structure_namespace_device_id_non_associated_message_types(seen: Story) -> None:
    """The device_id MUST NOT be included with message_type elements NBIRTH, NDEATH, NDATA, NCMD, and STATE based
    topics."""
    assert {packet.topic.count("/") for packet in seen.published("NBIRTH", "NDATA", "NDEATH")} == {3}


def test_tck_id_topic_structure_namespace_unique_device_id(seen: Story) -> None:
    """The device_id MUST be unique from other devices being reported on by the same Edge Node."""
    first = [p.topic for p in seen.published("DBIRTH", connection=1)]
    assert len(first) == len(set(first)) == len(CAMERAS)


# --- Births --------------------------------------------------------------------------------------------------------


def test_tck_id_topics_nbirth_topic(seen: Story) -> None:
    """The Birth Certificate topic for a Sparkplug Edge Node MUST be of the form
    'namespace/group_id/NBIRTH/edge_node_id' [...]"""
    topics(seen, "NBIRTH", f"spBv1.0/{GROUP}/NBIRTH/{NAME}")


def test_tck_id_topics_nbirth_mqtt(seen: Story) -> None:
    """NBIRTH messages MUST be published with MQTT QoS equal to 0 and retain equal to false."""
    unretained(seen, "NBIRTH")


def test_tck_id_topics_nbirth_seq_num(seen: Story) -> None:
    """The NBIRTH MUST include a sequence number in the payload and it MUST have a value of 0."""
    assert {packet.payload.seq for packet in births(seen)} == {0}


def test_tck_id_topics_nbirth_timestamp(seen: Story) -> None:
    """The NBIRTH MUST include a timestamp denoting the Date/Time the message was sent from the Edge Node."""
    stamped(seen, "NBIRTH")


def test_tck_id_topics_nbirth_metric_reqs(seen: Story) -> None:
    """The NBIRTH MUST include every metric the Edge Node will ever report on."""
    for packet in births(seen):
        assert set(current(packet)) == {"bdSeq", REBIRTH, *(row.name for row in NODE)}
        known = {metric.alias for metric in packet.payload.metrics}
        for data in seen.published("NDATA"):
            assert {metric.alias for metric in data.payload.metrics} <= known


def test_tck_id_topics_nbirth_metrics(seen: Story) -> None:
    """At a minimum each metric MUST include the metric name, datatype, and current value."""
    types = {row.name: row.type for row in NODE} | {"bdSeq": Type.INT64, REBIRTH: Type.BOOLEAN}
    for packet in births(seen):
        assert {m.name: m.type for m in packet.payload.metrics} == types
    assert current(births(seen)[-1])["Health/Backend"].value == "openvino"


def test_tck_id_topics_nbirth_bdseq_included(seen: Story) -> None:
    """A bdSeq number as a metric MUST be included in the payload."""
    for packet in births(seen):
        assert packet.metric("bdSeq").type is Type.INT64


def test_tck_id_topics_nbirth_bdseq_matching(seen: Story) -> None:
    """This MUST match the bdSeq number provided in the MQTT CONNECT packet's Will Message payload."""
    for packets in connections(seen):
        will = packets[0].metric("bdSeq").value
        assert {p.metric("bdSeq").value for p in packets if p.out and p.verb == "NBIRTH"} == {will}


def test_tck_id_topics_nbirth_bdseq_increment(seen: Story, with_host: Story) -> None:
    """The bdSeq number MUST start at zero and increment by one on every new MQTT CONNECT packet."""
    connects = [*seen.of("CONNECT"), *with_host.of("CONNECT")]  # the second story is a restart of the device
    assert [packet.metric("bdSeq").value for packet in connects] == list(range(len(connects)))
    assert len(connects) >= 4


def test_tck_id_topics_nbirth_rebirth_metric(seen: Story) -> None:
    """The NBIRTH message MUST include the following metric: 'Node Control/Rebirth' [...] Boolean [...] false"""
    for packet in births(seen):
        assert (packet.metric(REBIRTH).type, packet.metric(REBIRTH).value) == (Type.BOOLEAN, False)


def test_tck_id_topics_dbirth_topic(seen: Story) -> None:
    """The Device Birth topic for a Sparkplug Device MUST be of the form
    'namespace/group_id/DBIRTH/edge_node_id/device_id' [...]"""
    topics(seen, "DBIRTH", *(f"spBv1.0/{GROUP}/DBIRTH/{NAME}/{camera}" for camera in CAMERAS))


def test_tck_id_topics_dbirth_mqtt(seen: Story) -> None:
    """DBIRTH messages MUST be published with MQTT QoS equal to 0 and retain equal to false."""
    unretained(seen, "DBIRTH")


def test_tck_id_topics_dbirth_seq(seen: Story) -> None:
    """The DBIRTH MUST include a sequence number in the payload and it MUST have a value of one greater than the
    previous MQTT message from the Edge Node contained unless the previous MQTT message contained a value of 255. In
    this case the sequence number MUST be 0."""
    in_sequence(seen, "DBIRTH")


def test_tck_id_topics_dbirth_timestamp(seen: Story) -> None:
    """The DBIRTH MUST include a timestamp denoting the Date/Time the message was sent from the Edge Node."""
    stamped(seen, "DBIRTH")


def test_tck_id_topics_dbirth_metric_reqs(seen: Story) -> None:
    """The DBIRTH MUST include every metric the Edge Node will ever report on."""
    for packet in seen.published("DBIRTH"):
        assert set(current(packet)) == {row.name for row in (*CAMERA, *WRITABLE)}
        known = {metric.alias for metric in packet.payload.metrics}
        for data in seen.published("DDATA"):
            if data.camera == packet.camera:
                assert {metric.alias for metric in data.payload.metrics} <= known


def test_tck_id_topics_dbirth_metrics(seen: Story) -> None:
    """At a minimum each metric MUST include the metric name, metric datatype, and current value."""
    types = {row.name: row.type for row in (*CAMERA, *WRITABLE)}
    for packet in seen.published("DBIRTH"):
        assert {m.name: m.type for m in packet.payload.metrics} == types
    after_cut = next(p for p in seen.published("DBIRTH", connection=1) if p.camera == "north")
    assert current(after_cut)["Alarm/Active"].value is True
    assert current(after_cut)["Event/Area px"].value == 1200


def test_tck_id_operational_behavior_data_publish_nbirth_values(seen: Story) -> None:
    """For each metric in the NBIRTH, the value must be set to the current value or if the current value is null, have
    the is_null flag set to true and no value specified."""
    first, second = births(seen)[0], births(seen)[1]
    assert current(first)["Health/Memory MB"].value is None
    assert current(second)["Health/Memory MB"].value == 210.0


def test_tck_id_operational_behavior_data_publish_dbirth_values(seen: Story) -> None:
    """For each metric in the DBIRTH, the value must be set to the current value or if the current value is null, have
    the is_null flag set to true and no value specified."""
    first, *later = (p for p in seen.published("DBIRTH") if p.camera == "north")
    assert current(first)["Alarm/State"].value is None
    assert [current(p)["Alarm/State"].value for p in later] == ["normal", "active"]
    assert current(later[0])["Event/Contrast to noise"].value is None


def test_tck_id_operational_behavior_data_publish_nbirth(seen: Story) -> None:
    """NBIRTH messages MUST include all metrics for the specified Edge Node that will ever be published for that Edge
    Node within the established Sparkplug session."""
    test_tck_id_topics_nbirth_metric_reqs(seen)


def test_tck_id_operational_behavior_data_publish_dbirth(seen: Story) -> None:
    """DBIRTH messages MUST include all metrics for the specified Device that will ever be published for that Device
    within the established Sparkplug session."""
    test_tck_id_topics_dbirth_metric_reqs(seen)


def test_tck_id_message_flow_edge_node_birth_publish_connect(seen: Story) -> None:
    """Any Edge Node in the MQTT infrastructure MUST establish an MQTT Session prior to publishing NBIRTH and DBIRTH
    messages."""
    for packets in connections(seen):
        assert packets[0].kind == "CONNECT"
        assert [p.kind for p in packets if p.out].index("SUBSCRIBE") < [p.verb for p in packets].index("NBIRTH")


def test_tck_id_message_flow_device_birth_publish_nbirth_wait(seen: Story) -> None:
    """The NBIRTH message must have been sent within the current MQTT session prior to a DBIRTH being published."""
    for packets in connections(seen):
        verbs = [p.verb for p in packets if p.out and p.kind == "PUBLISH"]
        assert verbs.index("NBIRTH") < verbs.index("DBIRTH")


def test_tck_id_message_flow_device_birth_publish_dbirth_match_edge_node_topic(seen: Story) -> None:
    """The Device's DBIRTH MQTT topic group_id and edge_node_id MUST match the group_id and edge_node_id that were sent
    in the prior NBIRTH message for the Edge Node this Device is associated with."""
    of_node = {tuple(p.topic.split("/")[1::2]) for p in births(seen)}
    assert {tuple(p.topic.split("/")[1:4:2]) for p in seen.published("DBIRTH")} == of_node


def test_tck_id_payloads_dbirth_order(seen: Story) -> None:
    """All DBIRTH messages sent by an Edge Node MUST be sent immediately after the NBIRTH and before any NDATA or DDATA
    messages are published by the Edge Node."""
    sent = seen.published()
    for place in (n for n, packet in enumerate(sent) if packet.verb == "NBIRTH"):
        assert [p.verb for p in sent[place + 1 : place + 1 + len(CAMERAS)]] == ["DBIRTH"] * len(CAMERAS)


# --- Data ----------------------------------------------------------------------------------------------------------


def test_tck_id_topics_ndata_topic(seen: Story) -> None:
    """The Edge Node data topic for a Sparkplug Edge Node MUST be of the form 'namespace/group_id/NDATA/edge_node_id'
    [...]"""
    topics(seen, "NDATA", f"spBv1.0/{GROUP}/NDATA/{NAME}")


def test_tck_id_topics_ndata_mqtt(seen: Story) -> None:
    """NDATA messages MUST be published with MQTT QoS equal to 0 and retain equal to false."""
    unretained(seen, "NDATA")


def test_tck_id_topics_ndata_seq_num(seen: Story) -> None:
    """The NDATA MUST include a sequence number in the payload and it MUST have a value of one greater than the
    previous MQTT message from the Edge Node contained unless the previous MQTT message contained a value of 255. In
    this case the sequence number MUST be 0."""
    in_sequence(seen, "NDATA")


def test_tck_id_topics_ndata_timestamp(seen: Story) -> None:
    """The NDATA MUST include a timestamp denoting the Date/Time the message was sent from the Edge Node."""
    stamped(seen, "NDATA")


def test_tck_id_topics_ndata_payload(seen: Story) -> None:
    """The NDATA MUST include the Edge Node's metrics that have changed since the last NBIRTH or NDATA message."""
    told = {m.alias: m.value for packet in seen.published("NDATA") for m in packet.payload.metrics}
    numbers = {row.name: row.number for row in NODE}
    assert told[numbers["Outbox/Waiting"]] == 3
    assert told[numbers["Properties/Software"]] == "0.1.0"


def test_tck_id_topics_ddata_topic(seen: Story) -> None:
    """The Device command topic for a Sparkplug Device MUST be of the form
    'namespace/group_id/DDATA/edge_node_id/device_id' [...]"""
    topics(seen, "DDATA", *(f"spBv1.0/{GROUP}/DDATA/{NAME}/{camera}" for camera in CAMERAS))


def test_tck_id_topics_ddata_mqtt(seen: Story) -> None:
    """DDATA messages MUST be published with MQTT QoS equal to 0 and retain equal to false."""
    unretained(seen, "DDATA")


def test_tck_id_topics_ddata_seq_num(seen: Story) -> None:
    """The DDATA MUST include a sequence number in the payload and it MUST have a value of one greater than the
    previous MQTT message from the Edge Node contained unless the previous MQTT message contained a value of 255. In
    this case the sequence number MUST be 0."""
    in_sequence(seen, "DDATA")


def test_tck_id_topics_ddata_timestamp(seen: Story) -> None:
    """The DDATA MUST include a timestamp denoting the Date/Time the message was sent from the Edge Node."""
    stamped(seen, "DDATA")


def test_tck_id_topics_ddata_payload(seen: Story) -> None:
    """The DDATA MUST include the Device's metrics that have changed since the last DBIRTH or DDATA message."""
    birth = next(p for p in seen.published("DBIRTH") if p.camera == "north")
    names = {metric.alias: metric.name for metric in birth.payload.metrics}
    north = [packet for packet in seen.published("DDATA") if packet.camera == "north"]
    told = [{names[m.alias]: m.value for m in packet.payload.metrics} for packet in north]
    assert any(
        {"Event/Area px": 1200, "Event/Origin x px": 12.5, "Event/Step": "start"}.items() <= t.items() for t in told
    )
    assert any({"Alarm/Active": True, "Alarm/State": "active"}.items() <= once.items() for once in told)


def test_tck_id_operational_behavior_data_publish_nbirth_change(seen: Story) -> None:
    """NDATA messages SHOULD only be published when Edge Node level metrics change."""
    values: dict[int | None, object] = {}
    for packet in seen.published("NBIRTH", "NDATA"):
        for metric in packet.payload.metrics:
            assert packet.verb == "NBIRTH" or values[metric.alias] != metric.value
            values[metric.alias] = metric.value


def test_tck_id_operational_behavior_data_publish_dbirth_change(seen: Story) -> None:
    """DDATA messages SHOULD only be published when Device level metrics change."""
    test_tck_id_principles_rbe_recommended(seen)


def test_tck_id_operational_behavior_data_publish_nbirth_order(seen: Story) -> None:
    """For all metrics where is_historical=false, NBIRTH and NDATA messages MUST keep metric values in chronological
    order in the list of metrics in the payload."""
    for packet in seen.published("NBIRTH", "NDATA"):
        times = [m.timestamp for m in packet.payload.metrics if not m.historical and m.timestamp is not None]
        assert times == sorted(times) != []


def test_tck_id_operational_behavior_data_publish_dbirth_order(seen: Story) -> None:
    """For all metrics where is_historical=false, DBIRTH and DDATA messages MUST keep metric values in chronological
    order in the list of metrics in the payload."""
    for packet in seen.published("DBIRTH", "DDATA"):
        times = [m.timestamp for m in packet.payload.metrics if not m.historical and m.timestamp is not None]
        assert times == sorted(times)
        assert times or all(metric.historical for metric in packet.payload.metrics)


def test_tck_id_payloads_ndata_order(seen: Story) -> None:
    """All NDATA messages sent by an Edge Node MUST NOT be sent until all the NBIRTH and all DBIRTH messages have been
    published by the Edge Node."""
    test_tck_id_payloads_dbirth_order(seen)
    for packets in connections(seen):
        verbs = [p.verb for p in packets if p.out and p.kind == "PUBLISH"]
        assert "NDATA" not in verbs or verbs.index("NDATA") > verbs.index("NBIRTH")


def test_tck_id_payloads_ddata_order(seen: Story) -> None:
    """All DDATA messages sent by an Edge Node MUST NOT be sent until all the NBIRTH and all DBIRTH messages have been
    published by the Edge Node."""
    test_tck_id_payloads_dbirth_order(seen)
    alive: set[str] = set()
    for packet in seen.published():
        if packet.verb == "NBIRTH":
            alive.clear()
        elif packet.verb == "DBIRTH":
            alive.add(packet.camera)
        elif packet.verb == "DDEATH":
            alive.discard(packet.camera)
        elif packet.verb == "DDATA":
            assert packet.camera in alive


def test_what_had_no_proof_of_delivery_is_told_again_as_history(seen: Story) -> None:
    """Not a clause of the specification: data is QoS 0 there, and a lost connection loses it."""
    told = [
        (p.camera, m.value, m.timestamp)
        for p in seen.published("DDATA", connection=1)
        for m in p.payload.metrics
        if m.historical
    ]
    live = [
        (p.camera, m.value, m.timestamp)
        for p in seen.published("DDATA", connection=0)
        for m in p.payload.metrics
        if m.value == "active"
    ]
    assert live
    assert set(live) <= set(told), "with the time when it happened"


# --- Payloads ------------------------------------------------------------------------------------------------------


def test_tck_id_payloads_timestamp_in_UTC(seen: Story) -> None:
    """This timestamp MUST be in UTC."""
    times = [packet.payload.timestamp for packet in seen.published(*ALL)]
    assert None not in times
    assert abs(time.time() * 1000 - max(t or 0 for t in times)) < 120_000, "of the time when the story was played"


def test_tck_id_payloads_sequence_num_always_included(seen: Story) -> None:
    """A sequence number MUST be included in the payload of every Sparkplug MQTT message except NDEATH messages."""
    assert all(packet.payload.seq is not None for packet in seen.published(*ALL))


def test_tck_id_payloads_sequence_num_zero_nbirth(seen: Story) -> None:
    """A NBIRTH message MUST always contain a sequence number of zero."""
    test_tck_id_topics_nbirth_seq_num(seen)


def test_tck_id_payloads_sequence_num_incrementing(seen: Story) -> None:
    """All subsequent messages MUST contain a sequence number that is continually increasing by one in each message
    until a value of 255 is reached. At that point, the sequence number of the following message MUST be zero."""
    numbers = [packet.payload.seq for packet in seen.published(*ALL, connection=0)]
    rebirth = numbers.index(0, 1)
    assert numbers[:rebirth] == list(range(rebirth)) or 255 in numbers
    wrapped = [after for before, after in itertools.pairwise(numbers) if before == 255]
    assert wrapped == [0], "the story is long enough for one"
    for before, after in itertools.pairwise(numbers):
        assert after in (0, (before or 0) + 1)


def test_tck_id_payloads_alias_uniqueness(seen: Story) -> None:
    """If supplied in an NBIRTH or DBIRTH it MUST be a unique number across this Edge Node's entire set of metrics."""
    born = seen.published(*BIRTHS, connection=1)
    aliases = [m.alias for packet in born for m in packet.payload.metrics if m.alias is not None]
    assert len(aliases) == len(set(aliases)) > 80


def test_tck_id_payloads_alias_birth_requirement(seen: Story) -> None:
    """NBIRTH and DBIRTH messages MUST include both a metric name and alias."""
    for packet in seen.published(*BIRTHS):
        for metric in packet.payload.metrics:
            assert metric.name
            assert metric.name == REBIRTH or metric.alias is not None


def test_tck_id_payloads_alias_data_cmd_requirement(seen: Story) -> None:
    """NDATA, DDATA, NCMD, and DCMD messages MUST only include an alias and the metric name MUST be excluded."""
    for packet in seen.published(*DATA):
        assert all(metric.name is None and metric.alias is not None for metric in packet.payload.metrics)


def test_tck_id_payloads_name_requirement(seen: Story) -> None:
    """The name MUST be included with every metric unless aliases are being used."""
    for packet in seen.published():
        assert all(metric.name or metric.alias is not None for metric in packet.payload.metrics)


def test_tck_id_payloads_name_birth_data_requirement(seen: Story) -> None:
    """The timestamp MUST be included with every metric in all NBIRTH, DBIRTH, NDATA, and DDATA messages."""
    for packet in seen.published(*BIRTHS, *DATA):
        assert all(metric.timestamp for metric in packet.payload.metrics)


def test_tck_id_payloads_metric_datatype_req(seen: Story) -> None:
    """The datatype MUST be included with each metric definition in NBIRTH and DBIRTH messages."""
    for packet in seen.published(*BIRTHS):
        assert all(metric.type is not None for metric in packet.payload.metrics)


def test_tck_id_payloads_metric_datatype_not_req(seen: Story) -> None:
    """The datatype SHOULD NOT be included with metric definitions in NDATA, NCMD, DDATA, and DCMD messages."""
    for packet in seen.published(*DATA):
        assert all(metric.type is None for metric in packet.payload.metrics)


def test_tck_id_payloads_propertyset_quality_value_value(seen: Story) -> None:
    """The 'value' of the Property Value MUST be an int_value and be one of the valid quality codes of 0, 192, or
    500."""
    codes = {m.quality for p in seen.published("DBIRTH", "DDATA") for m in p.payload.metrics}
    assert codes <= {0, 192, 500, None}
    assert {192, 500} <= codes
    for packet in seen.published("DDATA"):
        assert all(metric.quality is not None for metric in packet.payload.metrics)


def test_tck_id_case_sensitivity_metric_names(seen: Story) -> None:
    """An Edge Node SHOULD NOT publish metric names that when converted to all lower case match."""
    for packet in seen.published(*BIRTHS):
        names = [metric.name.lower() for metric in packet.payload.metrics if metric.name]
        assert len(names) == len(set(names))


# --- Deaths --------------------------------------------------------------------------------------------------------


def test_tck_id_topics_ndeath_topic(seen: Story) -> None:
    """The Edge Node Death Certificate topic for a Sparkplug Edge Node MUST be of the form
    'namespace/group_id/NDEATH/edge_node_id' [...]"""
    topics(seen, "NDEATH", f"spBv1.0/{GROUP}/NDEATH/{NAME}")


def test_tck_id_topics_ndeath_payload(seen: Story) -> None:
    """The NDEATH message contains a very simple payload that MUST only include a single metric, the bdSeq number, so
    that the NDEATH event can be associated with the NBIRTH."""
    for packet in [*seen.published("NDEATH"), *seen.of("CONNECT")]:
        assert [metric.name for metric in packet.payload.metrics] == ["bdSeq"]


def test_tck_id_topics_ndeath_seq(seen: Story) -> None:
    """The NDEATH message MUST NOT include a sequence number."""
    assert {p.payload.seq for p in [*seen.published("NDEATH"), *seen.of("CONNECT")]} == {None}


def test_tck_id_payloads_ndeath_will_message(seen: Story) -> None:
    """An NDEATH message MUST be registered as a Will Message in the MQTT CONNECT packet."""
    connects = seen.of("CONNECT")
    assert len(connects) == 2
    assert all(packet.will and packet.verb == "NDEATH" for packet in connects)


def test_tck_id_message_flow_edge_node_birth_publish_will_message_topic(seen: Story) -> None:
    """The Edge Node's MQTT Will Message's topic MUST be of the form 'spBv1.0/group_id/NDEATH/edge_node_id' where
    group_id is the Sparkplug Group ID and the edge_node_id is the Sparkplug Edge Node ID for this Edge Node"""
    assert {packet.topic for packet in seen.of("CONNECT")} == {f"spBv1.0/{GROUP}/NDEATH/{NAME}"}


def test_tck_id_payloads_ndeath_will_message_qos(seen: Story) -> None:
    """The NDEATH message MUST set the MQTT Will QoS to 1 in the MQTT CONNECT packet."""
    assert {packet.qos for packet in seen.of("CONNECT")} == {1}


def test_tck_id_payloads_ndeath_will_message_retain(seen: Story) -> None:
    """The NDEATH message MUST set the MQTT Will Retained flag to false in the MQTT CONNECT packet."""
    assert {packet.retain for packet in seen.of("CONNECT")} == {False}


def test_tck_id_message_flow_edge_node_birth_publish_will_message_payload_bdSeq(seen: Story) -> None:
    """The Edge Node's MQTT Will Message's payload MUST include a metric with the name of 'bdSeq', the datatype of
    INT64, and the value MUST be incremented by one from the value in the previous MQTT CONNECT packet unless the value
    would be greater than 255. [...]"""
    values = [packet.metric("bdSeq").value for packet in seen.of("CONNECT")]
    assert [(after - before) % 256 for before, after in itertools.pairwise(values)] == [1] * (len(values) - 1)


def test_tck_id_payloads_ndeath_bdseq(seen: Story) -> None:
    """The NDEATH message MUST include the same bdSeq number value that will be used in the associated NBIRTH
    message."""
    for death in seen.published("NDEATH"):
        born = seen.published("NBIRTH", connection=death.connection)
        assert {packet.metric("bdSeq").value for packet in born} == {death.metric("bdSeq").value}


def test_tck_id_operational_behavior_edge_node_intentional_disconnect_ndeath(seen: Story) -> None:
    """An Edge Node MUST publish an NDEATH before terminating the connection."""
    last = [p for p in seen.packets if p.out and p.connection == 1][-2:]
    assert [(p.kind, p.verb) for p in last] == [("PUBLISH", "NDEATH"), ("DISCONNECT", "")]


def test_tck_id_operational_behavior_edge_node_intentional_disconnect_packet(seen: Story) -> None:
    """Immediately following the NDEATH publish, a DISCONNECT packet MUST be sent to the MQTT Server."""
    test_tck_id_operational_behavior_edge_node_intentional_disconnect_ndeath(seen)


def test_tck_id_payloads_ndeath_will_message_publisher_disconnect_mqtt311(seen: Story) -> None:
    """If the Edge Node is using MQTT 3.1.1 and it sends an MQTT DISCONNECT packet, the Edge Node MUST publish an
    NDEATH message to the MQTT Server before it sends the MQTT DISCONNECT packet."""
    test_tck_id_operational_behavior_edge_node_intentional_disconnect_ndeath(seen)


def test_tck_id_payloads_ndeath_will_message_publisher_disconnect_mqtt50(seen: Story) -> None:
    """If the Edge Node is using MQTT 5.0 and it sends an MQTT DISCONNECT packet, the MQTT v5.0 'Disconnect with Will
    Message' reason code MUST be set in the DISCONNECT packet."""
    five = seen.of("CONNECT")[0].level == 5
    assert {packet.reason for packet in seen.of("DISCONNECT")} == {4 if five else 0}


def test_tck_id_topics_ddeath_topic(seen: Story) -> None:
    """The Device Death Certificate topic for a Sparkplug Device MUST be of the form
    'namespace/group_id/DDEATH/edge_node_id/device_id' [...]"""
    topics(seen, "DDEATH", f"spBv1.0/{GROUP}/DDEATH/{NAME}/south")


def test_tck_id_topics_ddeath_mqtt(seen: Story) -> None:
    """DDEATH messages MUST be published with MQTT QoS equal to 0 and retain equal to false."""
    unretained(seen, "DDEATH")


def test_tck_id_topics_ddeath_seq_num(seen: Story) -> None:
    """The DDEATH MUST include a sequence number in the payload and it MUST have a value of one greater than the
    previous MQTT message from the Edge Node contained unless the previous MQTT message contained a value of 255. In
    this case the sequence number MUST be 0."""
    in_sequence(seen, "DDEATH")


def test_tck_id_payloads_ddeath_timestamp(seen: Story) -> None:
    """DDEATH messages MUST include a payload timestamp that denotes the time at which the message was published."""
    stamped(seen, "DDEATH")


def test_tck_id_operational_behavior_device_ddeath(seen: Story) -> None:
    """If a Sparkplug Edge Node loses connection with an attached Sparkplug Device, it MUST publish a DDEATH message on
    behalf of the device."""
    verbs = [p.verb for p in seen.published(connection=0) if p.topic.endswith("/south")]
    assert verbs.count("DDEATH") == 1
    assert verbs[verbs.index("DDEATH") + 1] == "DBIRTH", "and it is born again when it is back"


# --- Commands ------------------------------------------------------------------------------------------------------


def test_tck_id_message_flow_edge_node_ncmd_subscribe(seen: Story) -> None:
    """The MQTT client associated with the Edge Node MUST subscribe to a topic of the form
    'spBv1.0/group_id/NCMD/edge_node_id' [...]. It MUST subscribe on this topic with a QoS of 1."""
    for packets in connections(seen):
        wanted = [s for p in packets if p.kind == "SUBSCRIBE" for s in p.subscriptions]
        assert (f"spBv1.0/{GROUP}/NCMD/{NAME}", 1) in wanted


def test_tck_id_message_flow_device_dcmd_subscribe(seen: Story) -> None:
    """If the Device supports writing to outputs, the MQTT client associated with the Device MUST subscribe to a topic
    of the form 'spBv1.0/group_id/DCMD/edge_node_id/device_id' [...]. It MUST subscribe on this topic with a QoS of
    1."""
    for packets in connections(seen):
        wanted = [s for p in packets if p.kind == "SUBSCRIBE" for s in p.subscriptions]
        assert {(f"spBv1.0/{GROUP}/DCMD/{NAME}/{camera}", 1) for camera in CAMERAS} <= set(wanted)


def test_tck_id_operational_behavior_data_commands_rebirth_name_aliases(seen: Story) -> None:
    """When aliases are being used by an Edge Node an NBIRTH message MUST NOT include an alias for the 'Node
    Control/Rebirth' metric."""
    assert {packet.metric(REBIRTH).alias for packet in births(seen)} == {None}


def test_tck_id_operational_behavior_data_commands_rebirth_action_1(seen: Story) -> None:
    """When an Edge Node receives a Rebirth Request, it MUST immediately stop sending DATA messages."""
    asked = next(n for n, p in enumerate(seen.packets) if p.verb == "NCMD")
    assert next(p.verb for p in seen.packets[asked + 1 :] if p.out and p.verb) == "NBIRTH"


def test_tck_id_operational_behavior_data_commands_rebirth_action_2(seen: Story) -> None:
    """After an Edge Node stops sending DATA messages, it MUST send a complete BIRTH sequence including the NBIRTH and
    DBIRTH(s) if applicable."""
    asked = next(n for n, p in enumerate(seen.packets) if p.verb == "NCMD")
    after = [p.verb for p in seen.packets[asked + 1 :] if p.out and p.verb]
    assert after[:3] == ["NBIRTH", "DBIRTH", "DBIRTH"]


def test_tck_id_operational_behavior_data_commands_rebirth_action_3(seen: Story) -> None:
    """The NBIRTH MUST include the same bdSeq metric with the same value it had included in the Will Message of the
    previous MQTT CONNECT packet."""
    will, *_ = seen.of("CONNECT")
    before, rebirth = seen.published("NBIRTH", connection=0)
    assert will.metric("bdSeq").value == before.metric("bdSeq").value == rebirth.metric("bdSeq").value


# --- Primary host and several servers ------------------------------------------------------------------------------


def test_tck_id_message_flow_edge_node_birth_publish_phid_wait(with_host: Story) -> None:
    """If the Edge Node is configured to wait for a Primary Host Application it MUST verify the Primary Host
    Application is online via the STATE topic before publishing NBIRTH and DBIRTH messages."""
    for verb in BIRTHS:
        assert all(state_before(with_host, place) is not None for place in places(with_host, verb))


def test_tck_id_message_flow_edge_node_birth_publish_phid_wait_id(with_host: Story) -> None:
    """If the Edge Node is configured to wait for a Primary Host Application it MUST validate the Host Application ID as
    the last token in the STATE message topic string matches the configured Primary Host Application ID for this Edge
    Node."""
    wanted = {s for p in with_host.of("SUBSCRIBE") for s in p.subscriptions if s[0].startswith("spBv1.0/STATE")}
    assert wanted == {(f"spBv1.0/STATE/{HOST_ID}", 1)}
    assert state_before(with_host, places(with_host, "NBIRTH")[0]) == HostState(True, 1000)


def test_tck_id_message_flow_edge_node_birth_publish_phid_wait_online(with_host: Story) -> None:
    """If the Edge Node is configured to wait for a Primary Host Application it MUST validate the 'online' boolean flag
    is true in the STATE message payload before considering the Primary Host Application to be online and active."""
    for place in places(with_host, "NBIRTH"):
        said = state_before(with_host, place)
        assert said is not None
        assert said.online


def test_tck_id_message_flow_edge_node_birth_publish_phid_offline(with_host: Story) -> None:
    """If the Edge Node is configured to wait for a Primary Host Application, it is connected to the MQTT Server, and
    receives a STATE message on its configured Primary Host, the timestamp [is not older than that of the prior online
    STATE message], and the 'online' value is false, it MUST immediately publish an NDEATH message and disconnect from
    the MQTT Server and start the connection establishment process over."""
    online: dict[int, int] = {}
    ends = 0
    for place, packet, said in states(with_host):
        if said.online:
            online[packet.connection] = said.timestamp
        elif said.timestamp >= online[packet.connection]:
            after = [p for p in with_host.packets[place + 1 :] if p.out and p.kind in ("PUBLISH", "DISCONNECT")]
            assert [p.verb or p.kind for p in after[:2]] == ["NDEATH", "DISCONNECT"]
            assert any(p.kind == "CONNECT" for p in with_host.packets[place:])
            ends += 1
    assert ends == 1


def test_tck_id_operational_behavior_edge_node_termination_host_offline(with_host: Story) -> None:
    """If the Edge Node is configured to use a Primary Host Application, it MUST disconnect from the current MQTT Server
    if the online JSON value is false and if the timestamp [is not older than] the timestamp from the previous 'online
    STATE message'."""
    test_tck_id_message_flow_edge_node_birth_publish_phid_offline(with_host)


def test_tck_id_operational_behavior_edge_node_termination_host_offline_timestamp(with_host: Story) -> None:
    """[...] an Edge Node [...] is connected and publishing. Then it receives an 'offline STATE message'. It MUST NOT
    disconnect if the timestamp [is older than that of] the previous 'online STATE message'."""
    [late] = [place for place, _, said in states(with_host) if not said.online and said.timestamp == 999]
    after = [p.verb or p.kind for p in with_host.packets[late:] if p.out and p.kind in ("PUBLISH", "DISCONNECT")]
    assert after[0] == "DDATA"


def test_tck_id_operational_behavior_primary_application_state_with_multiple_servers_single_server(
    with_host: Story,
) -> None:
    """The Edge Nodes MUST not connected to more than one server at any point in time."""
    left: set[int] = set()
    for packet in with_host.packets:
        if packet.kind == "DISCONNECT":
            left.add(packet.connection)
        if packet.kind == "CONNECT":
            assert left == set(range(packet.connection))


def test_tck_id_operational_behavior_primary_application_state_with_multiple_servers_walk(with_host: Story) -> None:
    """If the Primary Host Application is offline as denoted via the STATE MQTT Message, the Edge Node MUST terminate
    its session with this MQTT Server and move to the next available MQTT Server that is available."""
    assert [packet.server for packet in with_host.of("CONNECT")] == [0, 1]


def test_tck_id_operational_behavior_edge_node_birth_sequence_wait(with_host: Story) -> None:
    """The Edge Node MUST also wait to publish its BIRTH sequence until an online=true STATE message is received by the
    Edge Node."""
    [second] = [n for n in places(with_host, "NBIRTH") if with_host.packets[n].server == 1]
    assert state_before(with_host, second) == HostState(True, 500)
