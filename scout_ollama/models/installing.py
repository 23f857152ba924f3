"""Models as a part of deploy-ollama: brought before the pods that serve them, loaded into those, proved with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scout_ollama import proving
from scout_ollama.changes import Expected, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.job import Job, NoServerLeft, Troubles
from scout_ollama.models import command, lacking, place, wanted
from scout_ollama.models.stages import Bringing, stages_for
from scout_ollama.proposal import Proved


@dataclass(frozen=True)
class Steps:
    """What brings a cluster to its models. Without ``bringing`` it wants none, or staging is among ``troubles``."""

    bringing: Bringing | None = None
    stages: Sequence[Stage] = ()
    warnings: Sequence[Trouble] = ()
    undo: str = ""
    troubles: Troubles = field(default_factory=dict)

    def load(self, hosts: Sequence[Host], applied: Sequence[Stage]) -> list[Stage]:
        """Return what awaits the pods that are new once the stages of ``applied`` are made, and has them load models.

        ``hosts`` are those on which pods run.
        """
        bringing = self.bringing
        preload = [model.name for model in bringing.found.wanted if model.preload] if bringing else []
        if not (bringing and preload):
            return []
        replaced = {name for stage in applied if stage.changes for name in stage.waits_for}
        new = [host.name for host in hosts if host.name in replaced or host.name not in bringing.found.pods]
        title, lines = f"load {', '.join(map(str, preload))}", tuple(f"+ in memory: {name}" for name in preload)
        expected = [Expected(name, title, lines) for name in new if name in bringing.found.nodes]

        def settle() -> list[Stage]:
            _, stuck = proving.await_rollout(bringing.job, hosts, self.troubles)
            self.troubles.update(stuck)
            return bringing.again()

        return [Stage("load", tuple(expected), settle=settle)] if expected else []

    def prove(self, proved: Proved, troubles: Troubles) -> Proved:
        """Add to what was proved of the pods that they serve the models as they were published."""
        if self.bringing:
            models = command.prove(self.bringing.job, self.bringing, troubles)
            proved.lines += models.lines
            proved.troubles += models.troubles
        return proved


def look(job: Job, troubles: Troubles) -> Steps:
    """Look which models are where, and return what is still to be done on the hosts without trouble.

    Where staging cannot be asked that is its trouble, among ``troubles``: it keeps no pod from being deployed.

    Raises:
        NoServerLeft: no server of the cluster can be asked for its pods.
    """
    if not wanted.of(job.ollama):
        return Steps()
    try:
        bringing = stages_for(job, troubles)
    except NoServerLeft:
        raise
    except Trouble as trouble:
        troubles.setdefault(place.of(job).host.name, trouble)
        return Steps()
    stages = bringing.stages()
    return Steps(bringing, stages, lacking.warnings(bringing.found), bringing.undo(stages), troubles)
