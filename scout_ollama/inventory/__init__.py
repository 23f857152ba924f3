"""The inventory: what a site wants, one YAML file per cluster; refused as a whole unless it is consistent."""

from .loading import load_site
from .models import (
    Cluster,
    ClusterBase,
    GpuOperator,
    Harbor,
    Host,
    Model,
    Ollama,
    OllamaCluster,
    OpenWebUI,
    ScoutCluster,
    ScoutModel,
    SharedOllama,
    Ssh,
    StagingCluster,
    Tls,
)
from .secret_source import SecretSource
from .site import Site

__all__ = [
    "Cluster",
    "ClusterBase",
    "GpuOperator",
    "Harbor",
    "Host",
    "Model",
    "Ollama",
    "OllamaCluster",
    "OpenWebUI",
    "ScoutCluster",
    "ScoutModel",
    "SecretSource",
    "SharedOllama",
    "Site",
    "Ssh",
    "StagingCluster",
    "Tls",
    "load_site",
]
