"""Faults in a Sparkplug story, and the clauses whose tests must notice each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.edge.sparkplug_changes import (
    ALL,
    BIRTHS,
    DATA,
    REBIRTH,
    each,
    edit,
    every,
    forget_values,
    jump,
    moved,
    named,
    of,
    once,
    published,
    repeat,
    topic,
    twice,
    without,
)
from tests.edge.sparkplug_story import Story

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
    "a sequence number of more than a byte": (
        every(edit("NBIRTH", how=lambda p: setattr(p, "seq", 256))),
        "payloads_sequence_num_req_nbirth topics_nbirth_seq_num",
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
    "a property without a value": (
        every(edit("DDATA", how=each(lambda m: m.properties.keys.append("Unit")))),
        "payloads_propertyset_keys_array_size",
    ),
    "properties without types": (
        every(edit("DBIRTH", how=each(lambda m: [value.ClearField("type") for value in m.properties.values]))),
        "payloads_metric_propertyvalue_type_req payloads_propertyset_quality_value_type",
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
    "a will without a type": (
        every(edit("NDEATH", kind="CONNECT", how=each(lambda m: m.ClearField("datatype")))),
        "message_flow_edge_node_birth_publish_will_message_payload_bdSeq",
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
