"""GStreamer and Aravis come from Debian, with bindings for Debian's own Python: PyGObject, the package `gi`.

A virtual environment does not see it, not even one that was made with that Python. So it is taken from where Debian
puts it, alone: the path stays what it is, or Debian's numpy would hide ours.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

from edge.errors import SourceError

DEBIAN = "/usr/lib/python3/dist-packages"


def library(name: str, version: str, packages: str) -> Any:
    """A library's bindings, such as Gst 1.0. Raises SourceError that says which Debian packages are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Debian's `gi` is older than some of Python's deprecations
        try:
            gi = _gi(packages)
            gi.require_version(name, version)
            return importlib.import_module(f"gi.repository.{name}")
        except (ValueError, ImportError) as error:  # what gi raises for a library that is not there
            raise SourceError(f"{name} {version} is not installed: apt-get install {packages}") from error


def _gi(packages: str) -> Any:
    """Ours, or Debian's. Raises SourceError."""
    if "gi" in sys.modules or importlib.util.find_spec("gi") is not None:
        return importlib.import_module("gi")
    spec = importlib.machinery.PathFinder.find_spec("gi", [DEBIAN])
    if spec is None or spec.loader is None:
        raise SourceError(f"PyGObject is not installed: apt-get install {packages}")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["gi"] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:  # built for another Python
        del sys.modules["gi"]
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SourceError(
            f"{DEBIAN}/gi is not for this Python {own}; make the virtual environment with /usr/bin/python3"
        ) from error
    return module
