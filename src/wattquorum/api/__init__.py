"""The floor of clients: what a node offers over HTTP, and who asks for it."""
