"""Live torture: real processes, real disks and connections, real faults, and what clients saw of it."""
