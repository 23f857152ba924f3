"""Traefik's stand-in: a real haproxy, configured from Ingress, Middleware and Secret objects as Traefik v3 routes."""
