"""How long blobs take to many nodes, foretold. All links have one bandwidth, in bytes a second, both ways at once."""

from __future__ import annotations

import math
from bisect import bisect_left

HOP_SECONDS = 0.05
"""By how much a node is behind the one it follows, once both are at it: until a byte that has arrived is sent on."""
START_SECONDS = 0.5
"""Until the first byte comes: a login with SSH. All nodes log in at the same time."""
NOTICE_SECONDS = 15.0
"""Until a follower leaves an upstream from which nothing comes."""

Curve = list[tuple[float, float]]
"""When how many bytes are at a node: seconds and bytes, both growing; straight lines between."""


def direct_seconds(nodes: int, size: float, bandwidth: float) -> float:
    """Return when the last node has everything from the source, whose one link they share."""
    return START_SECONDS + nodes * size / bandwidth


def chain_seconds(nodes: int, size: float, bandwidth: float, *, deaths: int = 0, hop: float = HOP_SECONDS) -> float:
    """Return when the last node of a chain has everything.

    Each node that dies on the way holds up whoever is behind it once: at worst they all wait for all of them.
    """
    return START_SECONDS + size / bandwidth + (nodes - 1) * hop + deaths * (NOTICE_SECONDS + START_SECONDS)


def tree_seconds(nodes: int, size: float, bandwidth: float, *, branches: int = 2, hop: float = HOP_SECONDS) -> float:
    """Return when the last node has everything if each, and the source, serves several others at once."""
    depth, reached = 0, 0
    while reached < nodes:
        depth += 1
        reached += branches**depth
    return START_SECONDS + branches * size / bandwidth + (depth - 1) * hop


def rounds_seconds(nodes: int, size: float, bandwidth: float, *, overhead: float = 0.3) -> float:
    """Return when the last node has everything if each copies what its upstream has again and again.

    That is ``rsync --append`` in a loop: what comes to the upstream during a round has to wait for the next, and each
    round begins with ``overhead`` seconds in which nothing is sent.
    """
    curve: Curve = [(START_SECONDS, 0.0), (START_SECONDS + size / bandwidth, size)]
    for _ in range(nodes - 1):
        curve = _round_after_round(curve, bandwidth, overhead)
    return curve[-1][0]


def _round_after_round(upstream: Curve, bandwidth: float, overhead: float) -> Curve:
    size = upstream[-1][1]
    now, there = upstream[0][0], 0.0
    curve: Curve = [(now, 0.0)]
    while there < size:
        found = _at(upstream, now + overhead)
        now += overhead
        curve.append((now, there))
        if found > there:
            now += (found - there) / bandwidth
            there = found
            curve.append((now, there))
    return curve


def _at(curve: Curve, moment: float) -> float:
    """Return how many bytes are there at a moment."""
    after = bisect_left(curve, (moment, math.inf))
    if after == 0:
        return 0.0
    if after == len(curve):
        return curve[-1][1]
    (then, before), (later, more) = curve[after - 1], curve[after]
    return before + (more - before) * (moment - then) / (later - then) if later > then else more


def table(size: float, bandwidth: float) -> list[str]:
    """Return the lines of a table for one to a thousand nodes, in seconds."""
    lines = [
        "| nodes | direct | chain | chain, 1 % die | tree of two | rsync, round after round |",
        "|---|---|---|---|---|---|",
    ]
    for nodes in (1, 3, 20, 100, 1000):
        seconds = (
            direct_seconds(nodes, size, bandwidth),
            chain_seconds(nodes, size, bandwidth),
            chain_seconds(nodes, size, bandwidth, deaths=nodes // 100),
            tree_seconds(nodes, size, bandwidth),
            rounds_seconds(nodes, size, bandwidth),
        )
        lines.append(f"| {nodes} | " + " | ".join(f"{value:.0f}" for value in seconds) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(table(60e9, 1.1e9)))
