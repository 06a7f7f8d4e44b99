"""What a device may be: processor, Python, and the C library that its wheels may ask for."""

from __future__ import annotations

from dataclasses import dataclass

GLIBC = 35  # 2.35: Ubuntu 22.04, so JetPack 6 too; Debian 12 has 2.36
OLDEST = 17  # the first manylinux that wheels for Python 3.10 are made for


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of device."""

    name: str
    machine: str  # as `uname -m` says
    debian: str  # as `dpkg --print-architecture` says
    python: tuple[int, int]

    @property
    def pip(self) -> list[str]:
        """Options that make pip choose wheels for the target instead of for this machine."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC, OLDEST - 1, -1)]
        platforms = [option for tag in (*tags, f"manylinux2014_{self.machine}") for option in ("--platform", tag)]
        return ["--only-binary=:all:", "--no-deps", "--python-version", ".".join(map(str, self.python)), *platforms]


TARGETS = {
    f"{debian}-py3{minor}": Target(f"{debian}-py3{minor}", machine, debian, (3, minor))
    for debian, machine in (("amd64", "x86_64"), ("arm64", "aarch64"))
    for minor in (10, 11)
}
