"""Sparkplug 3.0, data and payloads: one test for each clause, named after its `tck-id`.

All of them read the packets of two stories that were played against real brokers (`sparkplug_story`). Each docstring
quotes its clause. `test_sparkplug_faults` shows for each of these tests a fault that makes it fail.
"""

from __future__ import annotations

import itertools
import time

from edge.sparkplug.table import NODE
from tests.edge import test_sparkplug_births
from tests.edge.sparkplug_reading import (
    ALL,
    BIRTHS,
    DATA,
    REBIRTH,
    births,
    connections,
    in_sequence,
    properties,
    stamped,
    topics,
    unretained,
)
from tests.edge.sparkplug_story import CAMERAS, GROUP, Story
from tests.edge.sparkplug_story import NODE as NAME

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
    """The NDATA MUST include a timestamp denoting the date and time the message was sent from the Edge Node."""
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
    """The DDATA MUST include a timestamp denoting the date and time the message was sent from the Edge Node."""
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
    test_sparkplug_births.test_tck_id_principles_rbe_recommended(seen)


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
    test_sparkplug_births.test_tck_id_payloads_dbirth_order(seen)
    for packets in connections(seen):
        verbs = [p.verb for p in packets if p.out and p.kind == "PUBLISH"]
        assert "NDATA" not in verbs or verbs.index("NDATA") > verbs.index("NBIRTH")


def test_tck_id_payloads_ddata_order(seen: Story) -> None:
    """All DDATA messages sent by an Edge Node MUST NOT be sent until all the NBIRTH and all DBIRTH messages have been
    published by the Edge Node."""
    test_sparkplug_births.test_tck_id_payloads_dbirth_order(seen)
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
    since = time.time() - time.monotonic()
    for packet in seen.published(*ALL):
        assert abs((packet.payload.timestamp or 0) / 1000 - (packet.at + since)) < 120, "of the time when it was sent"


def test_tck_id_payloads_sequence_num_always_included(seen: Story) -> None:
    """A sequence number MUST be included in the payload of every Sparkplug MQTT message from an Edge Node except NDEATH
    messages."""
    assert all(packet.payload.seq is not None for packet in seen.published(*ALL))


def test_tck_id_payloads_sequence_num_req_nbirth(seen: Story) -> None:
    """A NBIRTH message from an Edge Node MUST always contain a sequence number between 0 and 255 (inclusive)."""
    assert all(packet.payload.seq in range(256) for packet in births(seen))


def test_tck_id_payloads_sequence_num_incrementing(seen: Story) -> None:
    """All subsequent messages after an NBIRTH from an Edge Node MUST contain a sequence number that is continually
    increasing by one in each message from that Edge Node until a value of 255 is reached. At that point, the sequence
    number of the following message MUST be zero."""
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


def test_tck_id_payloads_propertyset_keys_array_size(seen: Story) -> None:
    """The array of keys in a PropertySet MUST contain the same number of values included in the array of PropertyValue
    objects."""
    for found in properties(seen, "DBIRTH", "DDATA"):
        assert len(found.keys) == len(found.values) == 1


def test_tck_id_payloads_metric_propertyvalue_type_req(seen: Story) -> None:
    """This MUST be included in Property Value Definitions in NBIRTH and DBIRTH messages."""
    assert all(value.HasField("type") for found in properties(seen, *BIRTHS) for value in found.values)


def test_tck_id_payloads_propertyset_quality_value_type(seen: Story) -> None:
    """The 'type' of the Property Value MUST be a value of 3 which represents a Signed 32-bit Integer."""
    found = [item for item in properties(seen, "DBIRTH", "DDATA") if "Quality" in item.keys]
    assert {value.type for item in found for value in item.values} == {3}


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
