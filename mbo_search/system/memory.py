"""The memory that this process may really use."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")


def memory_bytes() -> int:
    """Bytes of memory that the processes here may use together: the machine's, or less in a container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = quota_bytes(_CGROUP)
    return machine if limit is None else min(machine, limit)


def quota_bytes(cgroup: Path) -> int | None:
    """Bytes that a container's quota allows; None without a quota."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (cgroup / name).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def process_bytes_left() -> int | None:
    """Bytes that this process may still map under `ulimit -v`; None without such a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        match = re.search(r"VmSize:\s*(\d+) kB", _STATUS.read_text())
    except OSError:
        match = None
    return max(0, limit - (1024 * int(match[1]) if match else 0))
