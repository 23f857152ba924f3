"""NVIDIA's GPU operator as K3s installs it: its chart, our values, the objects, the images; no host is asked here."""

from scout_ollama.gpu_operator.chart import Chart, Subchart, Values, read
from scout_ollama.gpu_operator.comparing import value_changes
from scout_ollama.gpu_operator.fetching import fetch
from scout_ollama.gpu_operator.images import images
from scout_ollama.gpu_operator.locked import chart_file, verified
from scout_ollama.gpu_operator.objects import config, objects
from scout_ollama.gpu_operator.values import merged, values

__all__ = [
    "Chart",
    "Subchart",
    "Values",
    "chart_file",
    "config",
    "fetch",
    "images",
    "merged",
    "objects",
    "read",
    "value_changes",
    "values",
    "verified",
]
