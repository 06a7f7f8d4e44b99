"""The demo's broker is what this machine has, and a broker that does not come up is an error."""

from __future__ import annotations

import importlib.util

import pytest

from edge import broker
from edge.broker import Broker, find, free_port, serve
from edge.errors import TransportError


@pytest.mark.parametrize(
    ("mosquitto", "amqtt", "name", "protocol"),
    [("/usr/sbin/mosquitto", True, "mosquitto", "5"), (None, True, "amqtt", "3.1.1"), (None, False, None, None)],
)
def test_mosquitto_goes_before_amqtt(monkeypatch, mosquitto, amqtt, name, protocol):
    monkeypatch.setattr(broker.shutil, "which", lambda *_args, **_options: mosquitto)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: amqtt or None)
    found = find()
    assert (found.name, found.settings(1883).protocol) == (name, protocol) if found else name is None


def test_a_broker_that_does_not_come_up_is_an_error():
    with (
        pytest.raises(TransportError, match="false did not come up on 127"),
        serve(Broker("false", "5", ("false",), ""), free_port()),
    ):
        pytest.fail("it came up")
