"""The fixtures of this folder."""

from __future__ import annotations

from model_bench import bench, gateway

__all__ = ["bench", "gateway"]
