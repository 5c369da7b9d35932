"""What a fit collects from blocks of rows: each statistic streams, merges in row order, and pickles."""
