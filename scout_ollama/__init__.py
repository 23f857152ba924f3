"""Runs shared Ollama GPU clusters for Scout over SSH."""
