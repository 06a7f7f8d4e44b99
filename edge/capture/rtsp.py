"""Why does an RTSP camera not let us in? FFmpeg, inside OpenCV, does not say; the camera does, when asked."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit, urlunsplit

ANSWER_S = 2.0  # for each step
PORTS = {"rtsp": 554, "rtsps": 322}


def refusal(url: str) -> str:
    """Ask for a description of the stream, without login, and put the answer in words that hold no secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port or PORTS[parts.scheme]
        with socket.create_connection((host, port), ANSWER_S) as camera:
            if parts.scheme == "rtsps":
                return f"{host}:{port} is there, but gives no stream; check path, login and certificate"
            status = _describe(camera, urlunsplit(parts._replace(netloc=f"{host}:{port}")))
    except socket.gaierror:
        return f"the name {host} is not known; check address and name server"
    except ConnectionRefusedError:
        return f"nothing listens at {host}:{port}; check the port, and that RTSP is on"
    except (OSError, ValueError):
        return f"{host} does not answer; check address, power and network"
    if status == 401:
        with_login = parts.username is not None
        return "login refused; check user name, password and path" if with_login else "it asks for a login"
    if status == 404:
        return "the camera has no such stream; check the path"
    if status == 200:
        return "the camera has the stream, but nothing came that can be decoded; set it to H.264 or MJPEG"
    return f"the camera answers {status}" if status else "what answers is no RTSP camera"


def _describe(camera: socket.socket, url: str) -> int | None:
    """The status of the answer; None where it is not RTSP. Raises OSError after ANSWER_S of silence."""
    camera.settimeout(ANSWER_S)
    camera.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
    said = re.match(rb"RTSP/\d\.\d (\d{3})", camera.recv(64))
    return int(said[1]) if said else None
