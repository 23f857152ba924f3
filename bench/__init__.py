"""Measurements, run by hand on a lab."""
