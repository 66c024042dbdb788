"""The one place that knows the graph library: it says where things go across the direction of growth.

Run as a program it reads a request as JSON and writes the answer: the library holds the interpreter's lock while it
works, half a second for 500 nodes, and a screen must not stand still that long. So nothing of ours is imported above.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.drawing.geometry import Direction
    from core.drawing.layered import Placement, Spot

UNIT = 10.0
"""The library's units for one cell: its own distances are made for pixels."""
SPACING: dict[str, dict[str, float]] = {
    "down": {"layer_gap": 40, "node_gap": 40, "dummy_gap": 30, "port_gap": 20, "stub": 20, "bundle_lane_gap": 10},
    "right": {"layer_gap": 40, "node_gap": 20, "dummy_gap": 20, "port_gap": 10, "stub": 20, "bundle_lane_gap": 10},
}
THOROUGH_SPOTS = 60
"""With more nodes and conditions than this the library takes less care with crossings, and half the time."""
APART_SPOTS = 250
"""From this many on it is worth a process of its own, whose start takes a twentieth of a second."""
LIMIT_SECONDS = 60.0


def place_spots(
    direction: Direction, spots: Sequence[Spot], links: Sequence[tuple[int, int]], *, apart: bool = False
) -> Placement:
    """Ask the library for the middle of each spot, and for where each link passes the rows between its ends.

    With `apart` it works in a process of its own where the request is large.
    """
    from core.drawing.layered import Placement

    if len(spots) == 1:
        return Placement([0.0], [])
    request = {
        "direction": direction,
        "spots": [[spot.row, spot.across, spot.along, spot.after] for spot in spots],
        "links": [list(link) for link in links],
    }
    answer = _ask_apart(request) if apart and len(spots) >= APART_SPOTS else _ask(request)
    crossings = [{int(row): across for row, across in rows.items()} for rows in answer["crossings"]]
    return Placement(answer["middles"], crossings)


def _ask_apart(request: dict[str, Any]) -> dict[str, Any]:
    """Ask in another process; where none can be had, here."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__],
            input=json.dumps(request).encode(),
            capture_output=True,
            check=True,
            timeout=LIMIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return _ask(request)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, in cells; numbers of rows become text in JSON, so they are here too."""
    import graphlay

    spots, links = request["spots"], request["links"]
    spacing = SPACING[request["direction"]]
    graph = {
        "nodes": [
            {
                "size": {"width": across * UNIT, "height": max(along, 1) * UNIT},
                "rank": {"fixed": row},
                "margin": {"cross_pos": after * UNIT + spacing["node_gap"] if after else 0},
            }
            for row, across, along, after in spots
        ],
        "edges": [{"source": upper, "target": lower} for upper, lower in links],
    }
    effort = "balanced" if len(spots) <= THOROUGH_SPOTS else "fast"
    options = {"direction": "topbottom", "spacing": spacing, "routing": {"lane_gap": 10}, "effort": effort}
    answer = graphlay.layout(graph, options=options)
    height_of_row: dict[int, float] = {}
    for spot, node in zip(spots, answer.nodes, strict=True):
        height_of_row.setdefault(spot[0], node["center"]["y"])
    crossings = []
    for (upper, lower), edge in zip(links, answer.edges, strict=True):
        points = [(point["x"] / UNIT, point["y"]) for point in edge["points"]]
        between = range(spots[upper][0] + 1, spots[lower][0])
        crossings.append({str(row): _at_height(points, height_of_row[row]) for row in between})
    return {"middles": [node["center"]["x"] / UNIT for node in answer.nodes], "crossings": crossings}


def _at_height(points: Sequence[tuple[float, float]], height: float) -> float:
    """Where a line of corner points passes a height."""
    for (x, y), (next_x, next_y) in pairwise(points):
        if y <= height <= next_y:
            return x + (next_x - x) * ((height - y) / (next_y - y) if next_y > y else 0.5)
    return points[-1][0] if height > points[-1][1] else points[0][0]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_ask(json.loads(sys.stdin.read()))))
