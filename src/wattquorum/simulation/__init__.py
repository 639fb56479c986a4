"""Simulation: the same replica that a node runs, in a world that one seed decides, where everything goes wrong."""
