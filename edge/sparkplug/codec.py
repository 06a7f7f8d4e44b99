"""Sparkplug payloads to bytes and back: protobuf, with the field numbers of the specification (section 6.4.1).

The schema is built here at run time, in a pool of its own: generated code would pin the device to one protobuf release,
and a second copy of the well-known schema in one process would clash. Of its types only those are declared that an edge
node without data sets and templates uses; protobuf skips the others when it reads.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

Value = bool | int | float | str | None

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}
# message -> field -> (type, number); "*": repeated; "|": one of the values
_SCHEMA = {
    "PropertyValue": {
        "type": ("uint32", 1),
        "is_null": ("bool", 2),
        "int_value": ("|uint32", 3),
        "long_value": ("|uint64", 4),
        "float_value": ("|float", 5),
        "double_value": ("|double", 6),
        "boolean_value": ("|bool", 7),
        "string_value": ("|string", 8),
    },
    "PropertySet": {"keys": ("*string", 1), "values": ("*PropertyValue", 2)},
    "Metric": {
        "name": ("string", 1),
        "alias": ("uint64", 2),
        "timestamp": ("uint64", 3),
        "datatype": ("uint32", 4),
        "is_historical": ("bool", 5),
        "is_transient": ("bool", 6),
        "is_null": ("bool", 7),
        "properties": ("PropertySet", 9),
        "int_value": ("|uint32", 10),
        "long_value": ("|uint64", 11),
        "float_value": ("|float", 12),
        "double_value": ("|double", 13),
        "boolean_value": ("|bool", 14),
        "string_value": ("|string", 15),
        "bytes_value": ("|bytes", 16),
    },
    "Payload": {
        "timestamp": ("uint64", 1),
        "metrics": ("*Metric", 2),
        "seq": ("uint64", 3),
        "uuid": ("string", 4),
        "body": ("bytes", 5),
    },
}


class Type(enum.IntEnum):
    """The data types we use, numbered as in section 6.4.16."""

    INT32 = 3
    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13  # ms since the epoch, UTC


_HELD_IN = {
    Type.INT32: "int_value",
    Type.INT64: "long_value",
    Type.DOUBLE: "double_value",
    Type.BOOLEAN: "boolean_value",
    Type.STRING: "string_value",
    Type.DATETIME: "long_value",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. `type` is required to write, but only births carry it; read metrics have what was sent."""

    value: Value
    type: Type | None = None
    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None  # ms since the epoch, UTC
    quality: int | None = None  # 0 bad, 192 good, 500 stale
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """One message."""

    metrics: tuple[Metric, ...]
    timestamp: int | None = None  # ms since the epoch, UTC
    seq: int | None = None  # 0..255


def _build() -> Any:
    """The class of a Payload."""
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    for name, fields in _SCHEMA.items():
        made = file.message_type.add(name=name)
        if any(kind.startswith("|") for kind, _ in fields.values()):
            made.oneof_decl.add(name="value")
        for field, (kind, number) in fields.items():
            label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, label=label)
            if kind.startswith("|"):
                added.oneof_index = 0
            kind = kind.lstrip("*|")
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".sparkplug.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


_Payload = _build()


def encode(payload: Payload, *, typed: bool = False) -> bytes:
    """The bytes of a payload; with `typed` each metric says its type, as births and wills must and data should not."""
    written = _Payload()
    if payload.timestamp is not None:
        written.timestamp = payload.timestamp
    if payload.seq is not None:
        written.seq = payload.seq
    for metric in payload.metrics:
        _write(written.metrics.add(), metric, typed)
    return bytes(written.SerializeToString())


def decode(body: bytes) -> Payload:
    """What stands in a payload that anybody may have sent. Raises ValueError."""
    read = _Payload()
    try:
        read.ParseFromString(body)
        return Payload(
            metrics=tuple(_read(metric) for metric in read.metrics),
            timestamp=read.timestamp if read.HasField("timestamp") else None,
            seq=read.seq if read.HasField("seq") else None,
        )
    except message.DecodeError as error:
        raise ValueError(f"not a Sparkplug payload: {error}") from error


def _write(written: Any, metric: Metric, typed: bool) -> None:
    assert metric.type is not None
    if metric.name is not None:
        written.name = metric.name
    if metric.alias is not None:
        written.alias = metric.alias
    if metric.timestamp is not None:
        written.timestamp = metric.timestamp
    if typed:
        written.datatype = metric.type
    if metric.historical:
        written.is_historical = True
    if metric.quality is not None:
        written.properties.keys.append("Quality")
        written.properties.values.add(type=Type.INT32, int_value=metric.quality)
    if metric.value is None:
        written.is_null = True
        return
    field = _HELD_IN[metric.type]
    value = metric.value
    if field in ("int_value", "long_value"):  # negative numbers travel as two's complement
        value = int(value) % (1 << (32 if field == "int_value" else 64))
    setattr(written, field, value)


def _read(read: Any) -> Metric:
    held = read.WhichOneof("value")
    value = None if held in (None, "bytes_value") or read.is_null else getattr(read, held)
    type_ = Type(read.datatype) if read.datatype in _HELD_IN else None
    return Metric(
        value=value if type_ is None else signed(value, type_),
        type=type_,
        name=read.name if read.HasField("name") else None,
        alias=read.alias if read.HasField("alias") else None,
        timestamp=read.timestamp if read.HasField("timestamp") else None,
        quality=_quality(read.properties),
        historical=read.is_historical,
    )


def _quality(properties: Any) -> int | None:
    for key, value in zip(properties.keys, properties.values, strict=False):  # strangers may send fewer values
        if key == "Quality" and value.HasField("int_value"):
            return int(value.int_value)
    return None


def signed(value: Value, type_: Type) -> Value:
    """A number as it was before it became two's complement; other values as they are."""
    bits = {Type.INT32: 32, Type.INT64: 64}.get(type_)
    if bits is None or isinstance(value, bool) or not isinstance(value, int) or not value >> (bits - 1):
        return value
    return value - (1 << bits)


def fits(value: Any, type_: Type) -> bool:
    """Whether a value is of this type, as it is read and as it may be written."""
    if type_ is Type.BOOLEAN:
        return isinstance(value, bool)
    if type_ is Type.STRING:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if type_ is Type.DOUBLE:
        return math.isfinite(value)
    bits = 32 if type_ is Type.INT32 else 64
    return isinstance(value, int) and -(1 << (bits - 1)) <= value < 1 << (bits - 1)
