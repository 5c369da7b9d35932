"""What looks back: columns of a row's past in its series, computed in one pass and kept as files."""
