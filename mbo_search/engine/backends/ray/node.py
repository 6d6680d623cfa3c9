"""Noticing that Ray does not work on this machine any more: no trial can be started then, and Tune would wait."""

from __future__ import annotations

import threading

from mbo_search.engine.backends.ray import _compat

_LOOK_SECONDS = 2.0
_END_SECONDS = 2.0


class NodeWatch(threading.Thread):
    """Looks whether Ray's processes on this machine live, and count as alive.

    Of a cluster of our own, Ray's directory (the GCS) and its process on this machine (the raylet) are the driver's
    children, and looking after them takes nobody's answer. What the directory thinks of this machine is asked for
    in a thread, for a lost directory is waited for. A stopped machine is not judged: whoever would judge is stopped
    as well.
    """

    def __init__(self) -> None:
        super().__init__(name="node-watch", daemon=True)
        self._is_lost = False
        self._over = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether no trial can be started here any more; once True, always True."""
        self._is_lost = self._is_lost or _compat.has_lost_a_process()
        return self._is_lost

    def run(self) -> None:
        """Look until the machine is lost or the watch ends."""
        import ray

        own = ray.get_runtime_context().get_node_id()
        while not self._is_lost and not self._over.wait(_LOOK_SECONDS):
            try:
                nodes = ray.nodes()  # type: ignore[no-untyped-call]
            except (ray.exceptions.RayError, RuntimeError, OSError):
                continue  # no answer is no judgment
            self._is_lost = any(node["NodeID"] == own and not node["Alive"] for node in nodes)

    def end(self) -> None:
        """Look no longer."""
        self._over.set()
        self.join(_END_SECONDS)
