"""The site as a picture: Scouts, the endpoints that they use, and the nodes behind them. Boxes and lines, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scout_ollama.status.document import ClusterStatus, NodeStatus, SiteStatus, State, worst

TITLE, LINE = 7.6, 6.1
"""Widths of a character in a box's title and in the line below it, on the wide side."""
INDENT = 34
"""Where the text in a box begins, after the mark."""


@dataclass(frozen=True)
class Box:
    """A box with a title and a line below it; ``text`` is all of it, for who points at it."""

    x: float
    y: float
    width: float
    height: float
    title: str
    line: str
    state: State

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.title}: {self.line}"

    @property
    def shown_title(self) -> str:
        """The title, as far as it fits."""
        return _fitted(self.title, (self.width - INDENT - 6) / TITLE)

    @property
    def shown_line(self) -> str:
        """The line, as far as it fits."""
        return _fitted(self.line, (self.width - INDENT - 6) / LINE)


@dataclass(frozen=True)
class Line:
    """A connection, as the ``d`` of an SVG path."""

    path: str
    state: State


@dataclass
class Picture:
    """What to draw, lines first."""

    width: float
    height: float = 0
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """A box that has no place yet, and how the line to the middle is."""

    title: str
    line: str
    state: State
    link: State


@dataclass(frozen=True)
class _Group:
    """Scouts, what they connect to, and what is behind it."""

    scouts: list[_Part]
    endpoint: _Part | None
    nodes: list[_Part]


def wide(status: SiteStatus) -> Picture:
    """Return the picture from left to right."""
    picture, height, gap = Picture(960), 58, 14
    for group in _groups(status):
        rows = max(len(group.scouts), len(group.nodes), 1)
        tall, top = rows * height + (rows - 1) * gap, picture.height
        middle = top + tall / 2
        for parts, x, joint in ((group.scouts, 0, 250), (group.nodes, 710, 710)):
            first = middle - (len(parts) * height + (len(parts) - 1) * gap) / 2
            for place, part in enumerate(parts):
                y = first + place * (height + gap)
                picture.boxes.append(Box(x, y, 250, height, part.title, part.line, part.state))
                if group.endpoint:
                    other, at = (340 if x == 0 else 620), y + height / 2
                    bend = (joint + other) / 2
                    path = f"M{joint} {at:g} C{bend:g} {at:g} {bend:g} {middle:g} {other} {middle:g}"
                    picture.lines.append(Line(path, part.link))
        if end := group.endpoint:
            picture.boxes.append(Box(340, middle - height / 2, 280, height, end.title, end.line, end.state))
        picture.height = top + tall + 2 * gap
    picture.height = max(0, picture.height - 2 * gap)
    return picture


def narrow(status: SiteStatus) -> Picture:
    """Return the picture from top to bottom, for a phone: two boxes a row, the lines between them."""
    picture, height, gap = Picture(344), 54, 12
    for group in _groups(status):
        bottom = _grid(picture, group.scouts, picture.height, height, gap, linked=group.endpoint is not None)
        if end := group.endpoint:
            _link_up(picture, group.scouts, bottom, gap)
            picture.boxes.append(Box(0, bottom + gap, 344, height, end.title, end.line, end.state))
            below = bottom + gap + height
            for part in group.nodes[:1]:
                picture.lines.append(Line(f"M172 {below:g} V{below + gap:g}", part.link))
            bottom = _grid(picture, group.nodes, below + gap, height, gap, linked=True)
        picture.height = bottom + 2 * gap
    picture.height = max(0, picture.height - 2 * gap)
    return picture


def _grid(picture: Picture, parts: Sequence[_Part], top: float, height: float, gap: float, *, linked: bool) -> float:
    """Place parts in two columns, with their lines in the gutter between; return where they end."""
    width, gutter = 160, 172
    for place, part in enumerate(parts):
        row, column = divmod(place, 2)
        y = top + row * (height + gap)
        picture.boxes.append(Box(column * 184, y, width, height, part.title, part.line, part.state))
        if linked:
            at = y + height / 2
            side = width if column == 0 else 184
            picture.lines.append(Line(f"M{side} {at:g} H{gutter} V{top - gap if row else at:g}", part.link))
    rows = (len(parts) + 1) // 2
    return top + rows * height + (rows - 1) * gap if parts else top


def _link_up(picture: Picture, scouts: Sequence[_Part], bottom: float, gap: float) -> None:
    """The line from the gutter between the Scouts down to the endpoint."""
    if scouts:
        state = worst(scout.link for scout in scouts)
        picture.lines.append(Line(f"M172 {bottom - 27:g} V{bottom + gap:g}", state))


def _groups(status: SiteStatus) -> list[_Group]:
    scouts = [cluster for cluster in status.clusters if cluster.scout]
    groups = []
    for cluster in status.clusters:
        if cluster.endpoint:
            using = [_scout(scout) for scout in scouts if scout.scout and scout.scout.uses == cluster.cluster]
            groups.append(_Group(using, _endpoint(cluster), [_node(node) for node in cluster.nodes]))
    shown = {cluster.cluster for cluster in status.clusters if cluster.endpoint}
    for cluster in scouts:
        if cluster.scout and cluster.scout.uses not in shown:
            groups.append(_Group([_scout(cluster)], _elsewhere(cluster), _own_nodes(cluster)))
    return groups


def _scout(cluster: ClusterStatus) -> _Part:
    assert cluster.scout
    return _Part(
        cluster.cluster, f"{cluster.scout.mode}: {cluster.scout.worst.text}", cluster.state, cluster.scout.worst.state
    )


def _endpoint(cluster: ClusterStatus) -> _Part:
    assert cluster.endpoint
    cells = (cluster.endpoint.answers, cluster.endpoint.certificate)
    name = cluster.endpoint.url.removeprefix("https://")
    line = f"{cluster.cluster}, certificate: {cluster.endpoint.certificate.text}"
    return _Part(name, line, worst(cell.state for cell in cells), "ok")


def _elsewhere(cluster: ClusterStatus) -> _Part | None:
    """What a Scout connects to that is no shared cluster of this picture; None if it connects to nothing."""
    assert cluster.scout
    if cluster.scout.wanted_url is None:
        return None
    line = "its own" if cluster.scout.mode == "deploy" else "not in this picture"
    return _Part(cluster.scout.wanted_url.partition("://")[2], line, cluster.scout.worst.state, "ok")


def _own_nodes(cluster: ClusterStatus) -> list[_Part]:
    return [_node(node) for node in cluster.nodes if node.ollama]


def _node(node: NodeStatus) -> _Part:
    link = node.endpoint or node.ollama
    if node.ssh.state != "ok":
        line = node.ssh.text
    elif node.ollama:
        line = node.ollama.text + (f", GPUs {node.gpus.text.removesuffix(' in use')}" if node.gpus else "")
    else:
        line = node.k3s.text
    return _Part(node.host, line, node.state, link.state if link else node.state)


def _fitted(text: str, room: float) -> str:
    return text if len(text) <= room else f"{text[: int(room) - 1]}…"
