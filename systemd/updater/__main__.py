"""fgstp-edge-update BUNDLE    install a release beside the running one, switch to it, go back if it does not do well.

Exit codes: 0 done, 1 refused and nothing changed, 3 the new release failed and the old one is back.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bundle import Bundle
from device import Device, Failed, Refused, say
from trial import examine, recover, running, switch


def update(device: Device, options: argparse.Namespace) -> None:
    """The whole way of one bundle. Raises Refused or Failed."""
    bundle = Bundle(options.bundle, options.key or device.configs / "release.pub")
    if not options.image:
        bundle.check_machine()
    bundle.unpack(device)
    try:
        if options.image:
            device.point("current", bundle.version)
        else:
            examine(device, bundle.version)
            switch(device, bundle.version, options.watch)
    finally:
        device.prune()
    say(f"{bundle.version} is installed; {device.release('previous') or 'nothing'} is kept to return to")


def act(device: Device, options: argparse.Namespace) -> None:
    """What was asked for, alone on this device. Raises Refused or Failed."""
    recover(device, [] if options.recover else running(device))
    if options.bundle:
        update(device, options)
    elif options.rollback:
        previous = device.release("previous")
        if previous is None:
            raise Refused("there is no release to return to")
        switch(device, previous, options.watch)
        say(f"{previous} runs")


def main() -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(
        prog="fgstp-edge-update", description="Install a release of fgstp-edge, or go back."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE", help="the release to install")
    what.add_argument("--rollback", action="store_true", help="return to the release before this one, on trial as well")
    what.add_argument("--recover", action="store_true", help="at boot: end a trial that nobody keeps any more")
    parser.add_argument("--watch", type=float, default=60.0, metavar="S", help="how long a trial lasts, s (60)")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="another tree than this machine's")
    parser.add_argument("--key", type=Path, metavar="PEM", help="public key (DIR/etc/fgstp-edge/release.pub)")
    parser.add_argument(
        "--image", action="store_true", help="DIR belongs to another machine, which tests at first boot"
    )
    options = parser.parse_args()
    os.umask(0o022)
    device = Device(options.root)
    try:
        with device.lock() as alone:
            if alone:
                act(device, options)
            elif not options.recover:  # else the trial has its keeper
                raise Refused("another fgstp-edge-update runs; wait for it")
    except Refused as error:
        say(f"refused: {error}")
        return 1
    except Failed as error:
        say(f"failed: {error}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
