"""fgstp-edge: from an optical-gas-imaging camera to a leak alarm, on the box beside the camera."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fgstp-edge")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0+checkout"
