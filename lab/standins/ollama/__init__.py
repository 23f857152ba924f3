"""Ollama's stand-in: the HTTP API of `ollama serve` over a real model store, without running a model.

It keeps the real server's surprises (0.24.0): what start-up prunes, what a listing opens and what it does not,
which errors name the wrong cause, that tags of one weights blob share one loaded slot. Where it differs:
answers are a fixed text unless xllamacpp is installed and loads the weights, a pull that was cut off starts anew,
pushes are refused, and /v1/completions, /v1/responses, /v1/messages, CORS and the cloud calls are missing.
"""
