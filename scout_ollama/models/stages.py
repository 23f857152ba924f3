"""From what is there to the stages that bring every wanted model to every node: pull, verify, copy, publish.

What a stage has to do follows from what the ones before have done: a blob's name is known once it was pulled, and
whether it has to be copied once it was verified. So the later stages are settled when their turn comes; until then the
plan shows what is expected of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scout_ollama import sizes
from scout_ollama.changes import Change, Expected, Stage
from scout_ollama.errors import Trouble
from scout_ollama.job import Job, Troubles
from scout_ollama.models import copying, needs, pods, publishing, pulling, staging_lock, survey, verifying
from scout_ollama.models.blob import Blob
from scout_ollama.models.copying import Source
from scout_ollama.models.linking import LinkBlobs
from scout_ollama.models.needs import Call
from scout_ollama.models.publishing import Publish
from scout_ollama.models.pulling import PullModels
from scout_ollama.models.repairing import RemoveBlobs
from scout_ollama.models.sets import ModelSet, number_for
from scout_ollama.models.survey import Found
from scout_ollama.remote import Remote
from scout_ollama.store import Manifest, ModelName


@dataclass
class Bringing:
    """One run of bringing models to a cluster.

    ``published`` is the set that it settled on, once it has; ``lost`` are hosts that could be read only at first.
    """

    job: Job
    found: Found
    update: bool = False
    repair: bool = False
    direct: bool = False
    published: ModelSet | None = field(default=None)
    lost: dict[str, Trouble] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """Return what is to be done."""
        first = self._at_the_source()
        calls = needs.calls(self.found, update=self.update, repair=self.repair)
        expected = tuple(self._expected(needs.expected(self.found, calls), calls))
        if first:
            return [*first, Stage("verify", (), settle=self._verify_again), self._later(expected)]
        verify = self._verify()
        return [verify, self._later(expected)] if verify.changes else self._copy_and_publish()

    def undo(self, stages: Iterable[Stage]) -> str:
        """Return the command that serves again what is served before these stages; empty if none of them changes it."""
        before = max((number for node in self.found.nodes.values() for number in node.sets), default=0)
        publishes = any(isinstance(change, Publish | Expected) for stage in stages for change in stage.changes)
        return f"inv rollback-models --hosts {self.job.cluster.name} --to {before}" if before and publishes else ""

    def _later(self, expected: Sequence[Change]) -> Stage:
        return Stage("copy and publish", tuple(expected), settle=self.again)

    def _at_the_source(self) -> list[Stage]:
        """Return what is changed where models are pulled: damaged blobs go, what is lacking comes."""
        where, stages = self.found.place, list[Stage]()
        spoiled = needs.spoiled(self.found.source, self._concerned()) if self.repair else []
        if spoiled:
            lock = staging_lock.of(self.job, where, "remove damaged blobs")
            stages.append(Stage("repair", (RemoveBlobs(where.host.name, where.store, tuple(spoiled), lock),)))
        if calls := needs.calls(self.found, update=self.update, repair=self.repair):
            objects = tuple(pulling.objects(self.job, where, calls))
            lines = tuple(self._line(call) for call in calls)
            lock = staging_lock.of(self.job, where, "pull models")
            pull = PullModels(where, tuple(calls), lines, objects, self.job.say, self.job.show, lock)
            stages.append(Stage("pull", (pull,)))
        return stages

    def _concerned(self) -> list[ModelName]:
        return [name for model in self.found.wanted for name in (model.name, model.pulled)]

    def _line(self, call: Call) -> str:
        if call.path == "/api/create":
            parameters = call.body["parameters"]
            assert isinstance(parameters, dict)
            told = ", ".join(f"{name} {value}" for name, value in parameters.items())
            return f"+ {call.model} from {call.body['from']}" + (f" with {told}" if told else "")
        known = self.found.registry.get(call.model)
        size = sizes.shown(sum(known.blobs.values())) if known else "of unknown size: its registry does not tell it"
        return f"{'~' if self.found.source.text_of(call.model) else '+'} {call.model} {size}"

    def _read_again(self) -> None:
        """Read everything anew: what was pulled, verified or copied since is there now, and hours may have passed."""
        where, job = self.found.place, self.job
        source = survey.read_source(job, where)
        read, troubles = survey.read_nodes(job, self.found.troubles)
        nodes = {name: node for name, node in read.items() if name in self.found.nodes}
        self.lost |= {name: trouble for name, trouble in troubles.items() if name in self.found.nodes}
        serving = pods.find(job, self.found.troubles)
        self.found = replace(self.found, source=source, nodes=nodes, pods=serving)

    def _verify_again(self) -> list[Stage]:
        self._read_again()
        return [self._verify()]

    def _verify(self) -> Stage:
        """Return what hashes, at the source and on the nodes, whatever of the wanted models nobody has hashed yet."""
        found, wanted = self.found, self.found.wanted_blobs
        copies = {} if survey.is_shared(self.job) else found.nodes
        on_nodes = {name: needs.unverified(node, wanted) for name, node in copies.items()}
        return verifying.stage(self.job, found.place, needs.unverified(found.source, wanted), on_nodes)

    def again(self) -> list[Stage]:
        """Return what is left to be done by now; once pods serve that did not before, that their models are loaded."""
        self._read_again()
        return self._copy_and_publish()

    def _copy_and_publish(self) -> list[Stage]:
        """Return, all being verified, what copies blobs to all nodes and then publishes on one after the other."""
        wanted = self.published = needs.publishable(self.found)
        shared = survey.is_shared(self.job)
        missing = {name: [] if shared else needs.missing(node, wanted) for name, node in self.found.nodes.items()}
        return [
            Stage("left alone", tuple(self._left_alone(missing))),
            *self._copy(wanted, missing),
            Stage("publish", tuple(self._publish(wanted, missing)), one_at_a_time=True),
        ]

    def _left_alone(self, missing: Mapping[str, Sequence[Blob]]) -> list[Change]:
        """Return the hosts on which nothing more is tried: those that were lost, those without space."""
        lacking = {name: needs.lacking_space(node, missing[name]) for name, node in self.found.nodes.items()}
        full = {name: _no_space(self.job, name, lack) for name, lack in lacking.items() if lack}
        return [Refused(name, trouble) for name, trouble in (self.lost | full).items()]

    def _copy(self, wanted: ModelSet, missing: Mapping[str, Sequence[Blob]]) -> list[Stage]:
        where, store = self.found.place, self.job.ollama.store
        to_copy = {name: blobs for name, blobs in missing.items() if blobs}
        linked: list[Change] = []
        if not where.is_staging and where.host.name in to_copy:
            linked = [LinkBlobs(where.host.name, where.store, store, tuple(to_copy.pop(where.host.name)))]
        whole = {
            name: [Blob(digest, size) for digest, size in wanted.blobs.items() if node.is_whole(digest, size)]
            for name, node in self.found.nodes.items()
        }
        source = Source(where.host.name, where.blobs)
        copied = copying.stages(self.job, source, to_copy, whole, store=store, direct=self.direct) if to_copy else []
        return [Stage("link", tuple(linked)), *copied]

    def _publish(self, wanted: ModelSet, missing: Mapping[str, Sequence[Blob]]) -> list[Change]:
        number = number_for(wanted, [node.sets for node in self.found.nodes.values()])
        preload = [model.name for model in self.found.wanted if model.preload]
        changes = [
            publishing.publish(
                self.job.cluster.hosts[name],
                survey.store_of(self.job),
                number,
                wanted,
                node,
                copied=[blob.digest for blob in missing[name]],
                pod=self.found.pods.get(name),
                preload=preload,
                say=self.job.say,
            )
            for name, node in self.found.nodes.items()
        ]
        return [change for change in changes if change]

    def _expected(self, known: Mapping[ModelName, Manifest], calls: Sequence[Call]) -> list[Change]:
        """Return what is expected to be copied to each node and published there, as far as sizes are known."""
        changing = {call.model for call in calls}
        changes: list[Change] = []
        for host, node in self.found.nodes.items():
            sizes_of: dict[str, int] = {}
            lines: list[str] = []
            for model in self.found.wanted:
                manifest, text = known.get(model.name), self.found.source.text_of(model.name)
                there = node.text_of(model.name)
                if there and (there == text if model.name not in changing else _same(there, manifest)):
                    continue
                new = {d: s for d, s in (manifest.blobs if manifest else {}).items() if not node.is_there(d, s)}
                sizes_of |= new
                sign = "~" if there else "+"
                lines.append(f"{sign} {model.name} {sizes.shown(sum(new.values())) if manifest else 'of unknown size'}")
            if lines:
                how = f"copy about {sizes.shown(sum(sizes_of.values()))}, publish"
                if survey.is_shared(self.job):
                    how = "serve from the share"
                title = f"{how} {sizes.counted(len(lines), 'model')}"
                changes.append(Expected(host, title, tuple(lines)))
        return changes


def _same(text: bytes, manifest: Manifest | None) -> bool:
    """Whether a node's manifest names what will be pulled: then it is only fetched anew at the source."""
    return manifest is not None and Manifest.parse(text).blobs == manifest.blobs


@dataclass(frozen=True)
class Refused:
    """What is not begun on a host, with the reason."""

    host: str
    trouble: Trouble

    @property
    def title(self) -> str:
        """``left alone``."""
        return "left alone"

    def difference(self) -> list[str]:
        """Why."""
        return [f"~ {self.trouble.what}"]

    def make(self, remote: Remote) -> None:
        """Raise the trouble, so that nothing more is tried on the host."""
        del remote
        raise self.trouble


def stages_for(
    job: Job, troubles: Troubles, *, update: bool = False, repair: bool = False, direct: bool = False
) -> Bringing:
    """Return the bringing of a cluster's models: its ``stages()``; hosts in ``troubles`` are left alone.

    Raises:
        Trouble: staging cannot be asked, or has no store where it should be.
    """
    return Bringing(job, survey.take(job, troubles), update=update, repair=repair, direct=direct)


def _no_space(job: Job, host: str, lack: int) -> Trouble:
    return Trouble(
        f"its disk has {sizes.shown(lack)} too little for the models",
        host=host,
        why=f"what is missing in {job.ollama.store}, and 5 % that stay free: K3s evicts pods below that",
        next=f"inv prune-models --hosts {job.cluster.name} --plan, or a larger disk",
    )
