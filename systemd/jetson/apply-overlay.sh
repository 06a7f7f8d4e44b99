#!/bin/sh
# apply-overlay.sh ROOTFS BUNDLE RELEASE.pub [CONFIG]    put fgstp-edge on a root file system before it is flashed.
# ROOTFS is NVIDIA's <Linux_for_Tegra>/rootfs, after its apply_binaries.sh; users and passwords are left to its tools.
# CONFIG may say `device: @DEVICE_ID@`: the first boot puts the board's serial number there. Nothing in ROOTFS is run, so
# any machine with Python and OpenSSL will do; twice is as good as once.
set -eu
systemd=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
root=$(cd "$1" && pwd) bundle=$2 key=$3 config=${4:-}

fail() { printf 'apply-overlay: %s\n' "$*" >&2; exit 1; }
manifest() { # FIELD
    tar -xOf "$bundle" manifest.json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}
case $(manifest machine) in
    aarch64) loader=lib/ld-linux-aarch64.so.1 ;;
    *) loader=lib64/ld-linux-x86-64.so.2 ;;
esac
[ "$root" != / ] || fail 'this machine is no root file system to be flashed; use install'
[ -e "$root/$loader" ] || fail "$root: no $loader: not a root file system for $(manifest machine), or not unpacked yet"
[ -e "$root/usr/bin/python$(manifest python)" ] || fail "$root: no Python $(manifest python): take another bundle"

"$systemd/layout" "$root"
install -d -m 0750 "$root/etc/fgstp-edge"
install -m 0644 "$key" "$root/etc/fgstp-edge/release.pub"
[ -z "$config" ] || install -m 0640 "$config" "$root/etc/fgstp-edge/config.yaml.in"
install -D -m 0644 "$systemd/dropins/jetson.conf" "$root/etc/systemd/system/fgstp-edge.service.d/jetson.conf"
install -D -m 0755 "$systemd/jetson/firstboot" "$root/usr/lib/fgstp-edge/firstboot"
install -m 0644 "$systemd/jetson/fgstp-edge-firstboot.service" "$root/usr/lib/systemd/system/"
install -d "$root/etc/systemd/system/multi-user.target.wants"
for unit in fgstp-edge.service fgstp-edge-firstboot.service; do
    ln -sfn "/usr/lib/systemd/system/$unit" "$root/etc/systemd/system/multi-user.target.wants/$unit"
done
exec /usr/bin/env python3 -IB "$systemd/updater" --image --root "$root" "$bundle"
