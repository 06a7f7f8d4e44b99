"""Sparkplug 3.0, topics and births: one test for each clause, named after its `tck-id`.

All of them read the packets of two stories that were played against real brokers (`sparkplug_story`). Each docstring
quotes its clause. `test_sparkplug_faults` shows for each of these tests a fault that makes it fail.
"""

from __future__ import annotations

from edge.sparkplug.codec import Metric, Type
from edge.sparkplug.table import CAMERA, NODE, WRITABLE
from tests.edge.sparkplug_reading import (
    BIRTHS,
    DATA,
    REBIRTH,
    births,
    connections,
    current,
    in_sequence,
    stamped,
    topics,
    unretained,
)
from tests.edge.sparkplug_story import CAMERAS, GROUP, Story
from tests.edge.sparkplug_story import NODE as NAME

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
    topics"""
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
    """The NBIRTH MUST include a timestamp denoting the date and time the message was sent from the Edge Node."""
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
    """The NBIRTH message MUST include a metric with the name 'Node Control/Rebirth'. It MUST be of datatype boolean and
    have a value of false."""
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
    """The DBIRTH MUST include a timestamp denoting the date and time the message was sent from the Edge Node."""
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
    """For each metric in the NBIRTH, the value MUST be set to the current value or if the current value is null, the
    is_null flag MUST be set to true and MUST NOT have a value specified."""
    first, second = births(seen)[0], births(seen)[1]
    assert current(first)["Health/Memory MB"].value is None
    assert current(second)["Health/Memory MB"].value == 210.0


def test_tck_id_operational_behavior_data_publish_dbirth_values(seen: Story) -> None:
    """For each metric in the DBIRTH, the value MUST be set to the current value or if the current value is null, the
    is_null flag MUST be set to true and MUST NOT have a value specified."""
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
    """The NBIRTH message MUST have been sent within the current MQTT session prior to a DBIRTH being published."""
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
