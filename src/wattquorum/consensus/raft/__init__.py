"""Raft whose votes are weighted by the power of a configuration; with equal powers it is plain Raft."""
