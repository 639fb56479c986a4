"""Strategies: what members know, what they expect, and how they make and answer offers. Floats are allowed here."""
