"""Simulation: the engines in worlds where every message, disk and clock does what a script or a seed says."""
