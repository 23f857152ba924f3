"""A stand-in for Open WebUI: strict where a change of its Ollama connection can go wrong, and silent elsewhere.

What it is in a pod is decided by ``start``: the real Open WebUI where a test asks for it, else this. Both pass
``tests/lab/test_open_webui_contract.py``. Not served: everything that neither the product nor a test asks for, such as
the pages themselves, knowledge, tools, groups, OAuth, and streamed answers.
"""
