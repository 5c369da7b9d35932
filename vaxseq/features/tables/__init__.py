"""How definitions, states and first rows are shown."""
