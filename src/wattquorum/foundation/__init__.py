"""Foundation: exact quantities, the codec, identities, intervals, transfers and refusals. Imports nothing above it."""
