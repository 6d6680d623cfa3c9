"""The names of what a trial computes on, and in which arithmetic."""

from __future__ import annotations

from typing import Literal

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
