"""What is declared: a definition file as frozen plain values, with all its problems at once."""
