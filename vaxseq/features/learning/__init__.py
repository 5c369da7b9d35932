"""What is learned: training rows scanned once, the state that comes of it, and its file."""
