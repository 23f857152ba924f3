"""What a site wants: clusters, their hosts, and the Ollama on them. One YAML file becomes one ``Cluster``.

The descriptions of the fields are the manual: the schema for editors and the error messages are made from them.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from ..errors import Trouble
from ..secrets import Secret
from .fields import (
    Address,
    ChartVersion,
    Derived,
    DnsLabel,
    DnsName,
    Duration,
    HostPath,
    HttpsUrl,
    Image,
    JumpHost,
    LocalFile,
    ModelName,
    Network,
    ProjectName,
    UserName,
    Version,
)
from .secret_source import SecretField

Environment = Literal["phi", "non-phi"]
Role = Literal["server", "agent", "gpu"]
OllamaMode = Literal["disabled", "deploy", "external"]

PositiveInt = Annotated[int, Field(ge=1)]


class Wanted(BaseModel):
    """Read once, never changed; a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ssh(Wanted):
    """How to reach a host."""

    user: UserName = Field("scout", description="User that logs in; it needs sudo without a password on the host.")
    port: int = Field(22, ge=1, le=65535, description="TCP port of sshd.")
    jump: JumpHost | None = Field(None, description="Host to jump through: [user@]host[:port].")
    key_file: LocalFile | None = Field(None, description="Private key file; without it the agent's keys are tried.")
    connect_timeout: float = Field(10, gt=0, le=600, description="Seconds to wait for a connection.")


class Host(Wanted):
    """A K3s node. ``name`` and ``cluster`` come from where it stands; ``ssh`` is merged over the cluster's."""

    name: Annotated[str, Derived()] = Field("", description="Name of the host: its key under hosts.")
    cluster: Annotated[str, Derived()] = Field("", description="Name of the cluster that the host belongs to.")
    address: Address = Field(description="IP address or DNS name that SSH connects to; unique in the site.")
    roles: frozenset[Role] = Field(description="server or agent, as K3s runs there, and gpu where Ollama shall run.")
    gpus: int = Field(0, ge=0, le=64, description="Number of GPUs in the host.")
    gpu_memory_gib: PositiveInt | None = Field(None, description="Memory of each GPU in GiB.")
    node_name: DnsName | None = Field(None, description="Name of the K3s node, where it differs from the host's.")
    ssh: Ssh = Field(default_factory=Ssh, description="What differs from the cluster's ssh for this host.")

    @property
    def node(self) -> str:
        """Name of the K3s node."""
        return self.node_name or self.name


class Tls(Wanted):
    """Certificate of the Ollama endpoint, provided as files, its key as a secret."""

    certificate: LocalFile = Field(description="PEM file: the certificate, then its chain, without the root.")
    key: SecretField = Field(description="Secret: the private key of the certificate, PEM without a passphrase.")
    ca: LocalFile | None = Field(None, description="PEM file: the CA that clients verify with, if it is a private one.")


class Model(Wanted):
    """A model that the cluster serves. A plain string is its name."""

    name: ModelName = Field(description="Name as Ollama knows it: [[host/]namespace/]model[:tag].")
    preload: bool = Field(False, description="Load it into GPU memory ahead of the first request.")


class ScoutModel(Wanted):
    """A variant of a model under its own name, as Scout declares them: same weights, other parameters."""

    base: ModelName = Field(description="Model whose weights it shares; pulled if it is not there.")
    name: ModelName = Field(description="Name that clients ask for.")
    num_ctx: PositiveInt | None = Field(None, description="Context length in tokens.")
    num_keep: int | None = Field(None, ge=-1, description="Tokens to keep from the start of a full context; -1 all.")
    num_predict: int | None = Field(
        None, ge=-2, description="Tokens to generate at most; -1 no limit, -2 fill the context."
    )
    preload: bool = Field(False, description="Load it into GPU memory ahead of the first request.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Ollama(Wanted):
    """Ollama as a cluster runs it: on every host with role gpu, from a store on that host."""

    version: Version = Field("0.24.0", description="Version of Ollama: the tag of its image.")
    image: Image = Field("docker.io/ollama/ollama", description="Image repository with its registry, without a tag.")
    namespace: DnsLabel = Field("ollama", description="Kubernetes namespace.")
    hostname: DnsName | None = Field(None, description="DNS name of the HTTPS endpoint, without scheme.")
    tls: Tls | None = Field(None, description="Certificate and key of the HTTPS endpoint.")
    allowed_clients: list[Network] = Field([], description="Networks (CIDR) that the endpoint answers; others get 403.")
    store: HostPath = Field("/var/lib/ollama", description="Directory on the host that holds blobs/ and manifests/.")
    source: Literal["local", "nfs"] = Field("local", description="local: a copy on each node; nfs: the staging share.")
    models: list[Annotated[Model, BeforeValidator(_named, json_schema_input_type=ModelName | Model)]] = Field(
        [], description="Models to serve: a name, or name and preload."
    )
    scout_models: list[ScoutModel] = Field([], description="Variants made from models, each with its own parameters.")
    keep_alive: Duration = Field("-1", description="How long an unused model stays loaded (30m, 1h30m); -1 for ever.")
    load_timeout: Duration = Field("30m", description="How long a load may stall (30m, 1h) before it is given up.")
    context_length: PositiveInt | None = Field(None, description="Context in tokens for models that set no num_ctx.")
    num_parallel: PositiveInt | None = Field(None, description="Requests a model serves at once; each costs context.")
    max_loaded_models: PositiveInt | None = Field(None, description="Models loaded at once on a node.")
    min_gpu_memory_gib: PositiveInt | None = Field(
        None, description="Nodes whose GPUs have less memory (GiB) are left out."
    )
    memory_gib: PositiveInt | None = Field(None, description="Memory limit of the pod in GiB; by default none.")
    runtime_class: DnsName | None = Field("nvidia", description="RuntimeClass of the pod; null for none.")
    cpu_only: bool = Field(False, description="Run without GPUs, for development.")

    @property
    def names(self) -> list[str]:
        """Names that clients may ask for: models and their variants, as they are written."""
        return [*(model.name for model in self.models), *(variant.name for variant in self.scout_models)]


class SharedOllama(Ollama):
    """Ollama that other clusters use: it must have an endpoint they can reach and verify."""

    hostname: DnsName = Field(description="DNS name of the HTTPS endpoint, without scheme.")
    tls: Tls = Field(description="Certificate and key of the HTTPS endpoint.")
    allowed_clients: list[Network] = Field(
        min_length=1, description="Networks (CIDR) that the endpoint answers; others get 403."
    )


class GpuOperator(Wanted):
    """NVIDIA's GPU operator."""

    version: ChartVersion = Field("v25.10.1", description="Release of the operator.")
    chart: LocalFile | None = Field(None, description="The released chart (.tgz), as inv fetch-chart brings it.")
    toolkit: Literal["host", "operator", "nri"] = Field(
        "host", description="Who installs the container toolkit: host (packages), the operator, or nri (no toolkit)."
    )
    values: dict[str, Any] = Field(
        {}, description="Values of the chart, over ours; mappings are merged, a list is replaced as a whole."
    )


class Harbor(Wanted):
    """The registry on the staging cluster through which an air gap gets its images."""

    url: HttpsUrl = Field(description="Address of Harbor: https://host[:port].")
    ca: LocalFile | None = Field(None, description="PEM file: the CA that signed Harbor's certificate, if private.")
    username: str | None = Field(None, description="User or robot account that may pull; without it, anonymous.")
    password: SecretField | None = Field(None, description="Secret: the password of that user.")
    projects: dict[DnsName, ProjectName] = Field(
        {
            "docker.io": "dockerhub-proxy",
            "ghcr.io": "ghcr-proxy",
            "quay.io": "quay-proxy",
            "registry.k8s.io": "k8s-proxy",
            "nvcr.io": "nvidia-proxy",
        },
        description="Harbor's proxy project for each upstream registry.",
    )

    def login(self) -> tuple[str, Secret] | None:
        """User and password, which is read now; None for anonymous. ``Trouble`` if it cannot be read, or is no line."""
        if not self.username or not self.password:
            return None
        password = self.password.read()
        if re.search(r"[\r\n]", password.reveal()):
            why = "a password is one line, and what is read has more"
            raise Trouble(f"{self.password} is not a password", why=why, next="correct harbor.password")
        return self.username, password


class OpenWebUI(Wanted):
    """Open WebUI on a Scout cluster."""

    namespace: DnsLabel = Field("scout-analytics", description="Kubernetes namespace of Open WebUI.")


class ClusterBase(Wanted):
    """What clusters of every kind have."""

    name: Annotated[DnsLabel, Derived()] = Field(description="Name of the cluster: its file's name without .yaml.")
    environment: Environment = Field(description="phi where patient data is processed, otherwise non-phi.")
    air_gapped: bool = Field(False, description="No way out: images and models come through the staging cluster.")
    staging: str | None = Field(None, description="Name of the staging cluster; an air-gapped Ollama needs one.")
    ssh: Ssh = Field(default_factory=Ssh, description="How to reach the hosts; each host may override any of it.")
    hosts: dict[DnsLabel, Host] = Field(min_length=1, description="Host name: the host. One server at least.")

    @field_validator("hosts")
    @classmethod
    def _placed(cls, hosts: dict[str, Host], info: ValidationInfo) -> dict[str, Host]:
        """Each host with its name, its cluster's name, and its ssh merged over the cluster's."""
        # A field that is itself invalid is not in info.data; the cluster is refused then anyway.
        ssh, cluster = info.data.get("ssh", Ssh()), info.data.get("name", "")
        return {
            name: host.model_copy(update={"name": name, "cluster": cluster, "ssh": _merged(ssh, host.ssh)})
            for name, host in hosts.items()
        }

    @property
    def servers(self) -> list[str]:
        """The names of the hosts that are servers; the first one keeps the cluster's lock, audit and revisions."""
        return [name for name, host in self.hosts.items() if "server" in host.roles]

    @property
    def runs_ollama(self) -> "Ollama | None":
        """The Ollama that runs on this cluster, if one shall."""
        return None


def _merged(cluster: Ssh, host: Ssh) -> Ssh:
    return cluster.model_copy(update={name: getattr(host, name) for name in host.model_fields_set})


class OllamaCluster(ClusterBase):
    """A shared Ollama cluster."""

    kind: Literal["ollama"] = Field(description="A shared Ollama cluster.")
    gpu_operator: GpuOperator = Field(default_factory=GpuOperator, description="NVIDIA's GPU operator.")
    ollama: SharedOllama = Field(description="The Ollama it serves.")

    @property
    def url(self) -> str:
        """The endpoint that Scouts connect to."""
        return f"https://{self.ollama.hostname}"

    @property
    def runs_ollama(self) -> Ollama:
        return self.ollama


class StagingCluster(ClusterBase):
    """The cluster outside the air gap that has what goes in: images in Harbor, models on an NFS share."""

    kind: Literal["staging"] = Field(description="The staging cluster.")
    staging_kubeconfig: LocalFile | None = Field(
        None, description="As in Scout's own inventory. Nothing reads it: staging is reached over SSH."
    )
    ollama_nfs_path: HostPath = Field(description="Directory of the NFS share that holds blobs/ and manifests/.")
    harbor: Harbor = Field(description="Harbor, the registry.")


class ScoutCluster(ClusterBase):
    """A Scout installation."""

    kind: Literal["scout"] = Field(description="A Scout installation.")
    ollama_mode: OllamaMode = Field(
        "disabled", description="disabled: no chat; deploy: an Ollama of its own; external: an Ollama elsewhere."
    )
    ollama_url: HttpsUrl | None = Field(
        None,
        description="Endpoint for mode external: https://host[:port]; follows from ollama_cluster where that is given.",
    )
    ollama_cluster: str | None = Field(None, description="For mode external: name of the shared Ollama cluster.")
    ollama: Ollama | None = Field(None, description="The Ollama of mode deploy.")
    open_webui: OpenWebUI = Field(default_factory=OpenWebUI, description="Open WebUI, the chat interface.")

    @property
    def ollama_host(self) -> str | None:
        """URL that Open WebUI connects to, the one value that everything downstream uses; None when disabled."""
        if self.ollama_mode == "external":
            return self.ollama_url
        return f"http://ollama.{self.runs_ollama.namespace}:11434" if self.runs_ollama else None

    @property
    def runs_ollama(self) -> Ollama | None:
        return self.ollama if self.ollama_mode == "deploy" else None


Cluster = OllamaCluster | ScoutCluster | StagingCluster
