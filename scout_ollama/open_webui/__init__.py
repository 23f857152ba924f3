"""Open WebUI on a Scout: what it is connected to, and the commands that change that."""
