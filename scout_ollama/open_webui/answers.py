"""What the program in Open WebUI's pod answers to each thing that it is asked, as shapes, and how to look into it."""

from __future__ import annotations

from typing import Any

CONNECTION = {
    "ENABLE_OLLAMA_API!": (None, bool),
    "OLLAMA_BASE_URLS!": (None, [str]),
    "OLLAMA_API_CONFIGS!": (None, {"*": (None, {})}),
}
EMBEDDING = {"RAG_EMBEDDING_ENGINE!": (None, str), "RAG_EMBEDDING_MODEL!": (None, str), "ollama_config!": {"url!": str}}
OLLAMA = {"error": str, "models": (None, [{"model!": str}])}
"""What Ollama answers to ``/api/version``, ``/api/tags`` and ``/api/ps``, or why it does not."""
RESULTS: dict[str, Any] = {
    "facts": {
        "version!": str,
        "connection": CONNECTION,
        "embedding": EMBEDDING,
        "tasks": {"TASK_MODEL": (None, str)},
        "defaults": {"DEFAULT_MODELS": (None, str)},
        "presets": [{"id!": str, "base_model_id!": (None, str), "is_active!": (None, bool)}],
        "environment": {"*": str},
        "reached": (None, {"status!": int}),
    },
    "connect": {"connection!": CONNECTION, "embedding!": EMBEDDING},
    "read": {"connection!": CONNECTION, "embedding!": EMBEDDING},
    "call": {"status!": int},
    "ready": {},
    "probe": {
        **dict.fromkeys(("proxy!", "name!", "tcp!", "tls!", "tls_with_ca!", "no_proxy!"), str),
        "answers!": {"*": OLLAMA},
    },
    "trust": {"file!": str, "certificates!": str},
}
SAID = {"token!": str, "error": {"kind!": str, "text!": str}, "results": list}


def within(answer: Any, *names: str) -> Any:
    """Return what an API's answer has under a name, and in that under the next; None where there is no such thing."""
    for name in names:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer
