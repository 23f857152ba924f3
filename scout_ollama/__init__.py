"""Runs shared Ollama GPU clusters for Scout over SSH."""

import atexit
import gc
import os
import sys

# Invoke has everything compiled anew at each start, unless asked by --write-pyc: up to a third of a command's CPU.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
# What is imported stays: to look for garbage in it, again and again and at the end, is a fifth of a short command.
gc.set_threshold(50_000)
atexit.register(gc.freeze)
