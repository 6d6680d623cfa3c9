"""Watch over Ray on this machine: once it is lost no trial can be started, and Tune would wait forever."""

from __future__ import annotations

import threading

from mbo_search.engine.backends.ray import _compat

_POLL_SECONDS = 2.0
_END_SECONDS = 2.0


class NodeWatch(threading.Thread):
    """Thread that checks whether Ray's processes on this machine are alive, and count as alive.

    In a cluster of our own, Ray's directory (the GCS) and its process on this machine (the raylet) are the driver's
    children and can be checked directly. The directory's opinion of this machine is requested in a thread, because
    such a request blocks while the directory is lost. Nobody judges a suspended machine.
    """

    def __init__(self) -> None:
        super().__init__(name="node-watch", daemon=True)
        self._is_lost = False
        self._over = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether trials can no longer be started here; once True, always True."""
        self._is_lost = self._is_lost or _compat.has_lost_a_process()
        return self._is_lost

    def run(self) -> None:
        """Check until the machine is lost or the watch ends."""
        import ray

        own = ray.get_runtime_context().get_node_id()
        while not self._is_lost and not self._over.wait(_POLL_SECONDS):
            try:
                nodes = ray.nodes()  # type: ignore[no-untyped-call]
            except (ray.exceptions.RayError, RuntimeError, OSError):
                continue  # no answer proves nothing
            self._is_lost = any(node["NodeID"] == own and not node["Alive"] for node in nodes)

    def end(self) -> None:
        """End the watch."""
        self._over.set()
        self.join(_END_SECONDS)
