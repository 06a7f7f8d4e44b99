"""/usr/bin/python3 tests/edge/rtsp_server.py PORT CLIP [USER:PASSWORD] [h264|jpeg]

A real RTSP camera: CLIP at rtsp://127.0.0.1:PORT/live, at its own rate, to everybody who asks. Says "ready".
Runs under Debian's Python, which has the bindings: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly
"""

from __future__ import annotations

import sys

import gi

for name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CODECS = {
    "h264": (
        "x264enc tune=zerolatency sliced-threads=false threads=1 bframes=0 key-int-max=12 "
        "! rtph264pay name=pay0 pt=96 config-interval=-1"
    ),
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def main(port: str, clip: str, login: str = "", codec: str = "h264") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    decoded = f"filesrc location={clip} ! decodebin ! videoconvert ! video/x-raw,format=I420"
    factory.set_launch(f"( {decoded} ! {CODECS[codec]} )")
    factory.set_shared(True)
    if login:
        protect(server, factory, *login.split(":", 1))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def protect(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, word: str) -> None:
    """Let nobody in without the login, which is asked for as a digest."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, word, token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.from_string("user,media.factory.access=(boolean)true,media.factory.construct=(boolean)true")[0]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
