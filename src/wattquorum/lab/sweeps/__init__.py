"""Sweeps: experiments over parameters and seeds, on this machine or a cluster, that can be ended and gone on with."""
