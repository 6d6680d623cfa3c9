"""Noticing that Ray has given this machine up: no trial can be started then, and Tune would wait for ever."""

from __future__ import annotations

import threading

__all__ = ["NodeWatch"]

_LOOK_SECONDS = 2.0
_END_SECONDS = 10.0


class NodeWatch(threading.Thread):
    """Looks now and then whether Ray's own process on this machine, the raylet, counts as alive.

    A stopped machine is not judged: whoever would judge is stopped as well. If all of Ray is gone, nobody answers;
    Ray ends the driver's process after a minute then.

    Attributes:
        is_lost: Whether Ray has given this machine up.
    """

    def __init__(self) -> None:
        super().__init__(name="node-watch", daemon=True)
        self.is_lost = False
        self._over = threading.Event()

    def run(self) -> None:
        """Look until the machine is lost or the watch ends."""
        import ray

        own = ray.get_runtime_context().get_node_id()
        while not self.is_lost and not self._over.wait(_LOOK_SECONDS):
            try:
                nodes = ray.nodes()  # type: ignore[no-untyped-call]
            except (ray.exceptions.RayError, RuntimeError, OSError):
                continue  # no answer is no judgment
            self.is_lost = any(node["NodeID"] == own and not node["Alive"] for node in nodes)

    def end(self) -> None:
        """Look no longer."""
        self._over.set()
        self.join(_END_SECONDS)
