"""Document B evaluated: what agents of groups save, who comes to be one, and what happens when some of them fail."""
