"""Measurements of WattQuorum on this machine and on the shipped data."""
