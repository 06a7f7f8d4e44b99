"""Sparkplug 3.0, deaths, commands and the primary host: one test for each clause, named after its `tck-id`.

All of them read the packets of two stories that were played against real brokers (`sparkplug_story`). Each docstring
quotes its clause. `test_sparkplug_faults` shows for each of these tests a fault that makes it fail.
"""

from __future__ import annotations

import itertools

from edge.sparkplug.codec import Type
from edge.sparkplug.host import HostState
from tests.edge.sparkplug_reading import (
    BIRTHS,
    REBIRTH,
    births,
    connections,
    in_sequence,
    places,
    stamped,
    state_before,
    states,
    topics,
    unretained,
)
from tests.edge.sparkplug_story import CAMERAS, GROUP, HOST_ID, Story
from tests.edge.sparkplug_story import NODE as NAME

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
    assert {packet.metric("bdSeq").type for packet in seen.of("CONNECT")} == {Type.INT64}
    assert [(after - before) % 256 for before, after in itertools.pairwise(values)] == [1] * (len(values) - 1)


def test_tck_id_payloads_ndeath_bdseq(seen: Story) -> None:
    """The NDEATH message MUST include the same bdSeq number value that will be used in the associated NBIRTH
    message."""
    for death in seen.published("NDEATH"):
        born = seen.published("NBIRTH", connection=death.connection)
        assert {packet.metric("bdSeq").value for packet in born} == {death.metric("bdSeq").value}


def test_tck_id_operational_behavior_edge_node_intentional_disconnect_ndeath(seen: Story) -> None:
    """When an Edge Node disconnects intentionally, it MUST publish an NDEATH before terminating the connection."""
    last = [p for p in seen.packets if p.out and p.connection == 1][-2:]
    assert [(p.kind, p.verb) for p in last] == [("PUBLISH", "NDEATH"), ("DISCONNECT", "")]


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
    receives a STATE message on its configured Primary Host, the timestamp value in the payload is greater than or equal
    to the timestamp value included in the prior 'online' STATE message, and the 'online' value is false, it MUST
    immediately publish an NDEATH message and disconnect from the MQTT Server and start the connection establishment
    process over."""
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
    if the online JSON value is false and the timestamp value is greater than or equal to the previous online STATE
    message timestamp value."""
    test_tck_id_message_flow_edge_node_birth_publish_phid_offline(with_host)


def test_tck_id_operational_behavior_edge_node_termination_host_offline_timestamp(with_host: Story) -> None:
    """Consider an Edge Node that is configured to use a Primary Host Application and the Edge Node is connected and
    publishing. Then it receives an offline STATE message. It MUST NOT disconnect if the timestamp value is less than
    the value from the previous online STATE message."""
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
