"""Replica: one engine, one ledger and the pool of what waits, as bytes in and bytes out; and the form of their log."""
