"""/usr/bin/python3 tests/edge/gige_camera.py SERIAL

Aravis' fake GigE Vision camera on the loopback interface: control and stream over UDP, as a real one. Says "ready".
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Aravis", "0.8")
from gi.repository import Aravis, GLib  # noqa: E402

camera = Aravis.GvFakeCamera.new("127.0.0.1", sys.argv[1])
assert camera.is_running()
print("ready", flush=True)
GLib.MainLoop().run()
