"""What boots a system in a container runs by `./dev test-device`: it needs root, ten minutes and a tree of Debian."""

from __future__ import annotations

import os

collect_ignore = (
    [] if os.environ.get("FGSTP_DEVICE") == "long" else ["test_booted.py", "test_flashed.py", "test_arm64.py"]
)
