"""Consensus: who votes with how much power, and engines that put opaque payloads in one order. Knows no market."""
