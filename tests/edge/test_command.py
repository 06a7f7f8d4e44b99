"""Commands: what is one, what is none, and that nobody's bytes can do more than be refused.

FGSTP_FUZZ=1000000 python -m pytest tests/edge/test_command.py -k fuzz     the long form
"""

from __future__ import annotations

import json
import os
import random

import jsonschema
import pytest

from edge import payload
from edge.annunciator import Annunciator
from edge.command import MAX_BYTES, Command, Malformed, parse
from edge.lifecycle import State
from edge.rules import AlarmSettings
from tests.conftest import check

VERBS = ("ack", "shelve", "unshelve", "suppress", "unsuppress", "out_of_service", "in_service", "reset", "snapshot")
SCHEMA = jsonschema.Draft202012Validator(json.loads((payload.SCHEMAS / "cmd.json").read_text(encoding="utf-8")))
ACK = {"command": "ack", "id": "hmi-7.4711", "operator": "Jo Doe"}


def bytes_of(**fields: object) -> bytes:
    return json.dumps({**ACK, **fields}).encode()


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_needs_a_verb_an_id_and_an_operator(verb):
    extra = {"duration_s": 60} if verb == "shelve" else {}
    made = parse(bytes_of(command=verb, **extra))
    assert isinstance(made, Command)
    assert (made.command, made.id, made.operator, made.zone) == (verb, "hmi-7.4711", "Jo Doe", None)
    for missing in ACK:
        fields = {**ACK, "command": verb, **extra}
        del fields[missing]
        assert parse(json.dumps(fields).encode()).reason == f"{missing}: field required"


REFUSED = [
    (b"", "not JSON: EOF"),
    (b"\xff\xfe{", "not JSON"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b"[" * 4000, "not JSON: recursion limit exceeded"),
    (b'{"a":' * 800, "not JSON: recursion limit exceeded"),
    (b" " * (MAX_BYTES + 1), "more than 4096 bytes"),
    (bytes_of() + b"{}", "not JSON: trailing characters"),
    (bytes_of(operator="x")[:-2] + b"\xed\xa0\x80", "not JSON"),
    (bytes_of(operator=""), "operator: characters or length not allowed"),
    (bytes_of(operator="  "), "operator: characters or length not allowed"),
    (bytes_of(operator="Jo\nleak over"), "operator: characters or length not allowed"),
    (bytes_of(operator="Jo\x1b[2J"), "operator: characters or length not allowed"),
    (bytes_of(operator="Jo\u202e"), "operator: characters or length not allowed"),
    (bytes_of(operator="x" * 65), "operator: string should have at most 64 characters"),
    (bytes_of(operator=7), "operator: input should be a valid string"),
    (bytes_of(operator=["Jo"]), "operator: input should be a valid string"),
    (bytes_of(id=7), "id: input should be a valid string"),
    (bytes_of(id="a b"), "id: characters or length not allowed"),
    (bytes_of(id="7\n"), "id: characters or length not allowed"),
    (bytes_of(command="format"), "command: input should be 'ack', "),
    (bytes_of(command=None), "command: input should be 'ack', "),
    (bytes_of(command="ACK"), "command: input should be 'ack', "),
    (bytes_of(zone="a/b"), "zone: characters or length not allowed"),
    (bytes_of(zone="+"), "zone: characters or length not allowed"),
    (bytes_of(force=True), "force: unknown field"),
    (bytes_of(**{"x\x00" + "y" * 99: 1}), r"x\x00" + "y" * 38 + ": unknown field"),
    (bytes_of(duration_s=60), "duration_s belongs to shelve, which needs it"),
    (bytes_of(command="shelve"), "duration_s belongs to shelve, which needs it"),
    (bytes_of(command="shelve", duration_s="60"), "duration_s: input should be a valid number"),
    (bytes_of(command="shelve", duration_s=True), "duration_s: input should be a valid number"),
    (bytes_of(command="shelve", duration_s=0), "duration_s: input should be greater than 0"),
    (bytes_of(command="shelve", duration_s=86_401), "duration_s: input should be less than or equal to 86400"),
    (bytes_of(command="shelve", duration_s=float("nan")), "not JSON"),
    (bytes_of(command="shelve", duration_s=float("inf")), "not JSON"),
    (bytes_of(command="shelve", duration_s=10**400), "duration_s: input should be a valid number"),
    (bytes_of(command="shelve", duration_s=10**3000), "duration_s: input should be a valid number"),
    (bytes_of(command="reset", event_id="0" * 36), "event_id belongs to ack"),
    (bytes_of(event_id="latest"), "event_id: characters or length not allowed"),
    (bytes_of(comment="x" * 201), "comment: string should have at most 200 characters"),
]


@pytest.mark.parametrize(("message", "reason"), REFUSED)
def test_what_is_no_command_is_refused_with_a_reason_in_one_line(message, reason):
    made = parse(message)
    assert isinstance(made, Malformed)
    assert made.reason.startswith(reason)
    assert made.reason.isprintable()
    assert len(made.reason) < 300


def test_a_refusal_names_the_request_where_its_id_can_be_read():
    assert parse(bytes_of(command="format")).id == "hmi-7.4711"
    assert parse(bytes_of(id="a b")).id is None
    assert parse(b"{").id is None


# --- fuzz ------------------------------------------------------------------------------------------------------------

AWKWARD = (None, True, 0, -1, 60, 1e308, -0.0, 10**25, 10**400, "", "ack", "x" * 70, "\x00", "\u2028", "é", "𝄞", [], {})
SPLICES = (
    b"NaN",
    b"Infinity",
    b"\xff",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"[" * 300,
    b"\\ud800",
    b"\x00",
    b"1e999",
    b"9" * 500,
)


def valid(chance: random.Random) -> dict[str, object]:
    verb = chance.choice(VERBS)
    fields: dict[str, object] = {
        "command": verb,
        "id": f"f-{chance.random()}",
        "operator": chance.choice(("Jo", "Zoë K.")),
    }
    if verb == "shelve":
        fields["duration_s"] = chance.choice((1, 59.5, 3600))
    if chance.random() < 0.3:
        fields["comment"] = "valve 7"
    return fields


def mutated(chance: random.Random) -> bytes:
    """A valid command with one to three faults."""
    fields = valid(chance)
    for _ in range(chance.randint(1, 2)):
        key = chance.choice((*fields, "zone", "event_id", "duration_s", "comment", "extra"))
        if chance.random() < 0.3:
            fields.pop(key, None)
        else:
            fields[key] = chance.choice(AWKWARD)
    message = json.dumps(fields, ensure_ascii=chance.random() < 0.5).encode()
    if chance.random() < 0.5:
        at = chance.randrange(len(message))
        message = message[:at] + chance.choice(SPLICES) + message[at + chance.randint(0, 3) :]
    if chance.random() < 0.02:
        message += b" " * MAX_BYTES
    return message


def test_fuzzed_commands_never_raise_and_no_invalid_one_changes_anything():
    count, chance = int(os.environ.get("FGSTP_FUZZ", "20000")), random.Random(62682)
    annunciator = Annunciator("north", {"tank": AlarmSettings(), "mast": AlarmSettings()})
    annunciator.tick(1.0)
    invalid = 0
    for number in range(count):
        half = number % 2
        message = mutated(chance) if half else chance.randbytes(chance.choice((0, 3, 40, 300)))
        before = annunciator.places
        outcome = annunciator.act(message, 1.0)
        accepted = outcome.reply.accepted
        payload.encode(payload.reply(outcome.reply))
        if not _by_schema(message):
            invalid += 1
            assert not accepted, message
        if not accepted:
            assert outcome.transitions == ()
            assert annunciator.places == before
    assert invalid > count / 2
    assert invalid < count, "some mutations leave a command valid"


def _by_schema(message: bytes) -> bool:
    """The schema's opinion, by another parser."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(message.decode(), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
        return len(message) <= MAX_BYTES and SCHEMA.is_valid(value)
    except (ValueError, RecursionError):
        return False


def test_the_schema_and_the_parser_agree():
    chance, seen = random.Random(18), {True: 0, False: 0}
    for number in range(4000):
        message = json.dumps(valid(chance)).encode() if number % 2 else mutated(chance)
        ours = isinstance(parse(message), Command)
        assert ours == _by_schema(message), message
        seen[ours] += 1
    assert min(seen.values()) > 1000


def test_every_answer_fits_its_schema():
    annunciator = Annunciator("north", {"": AlarmSettings()})
    annunciator.tick(0.0)
    for message in (bytes_of(), bytes_of(id="2", command="snapshot"), *(message for message, _ in REFUSED)):
        check("reply", payload.encode(payload.reply(annunciator.act(message, 1.0).reply)))
    assert annunciator.places[0].alarm.state is State.NORMAL
