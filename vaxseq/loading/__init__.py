"""Rows to arrays, without Keras: which rows, how they are read, and the batches made of them ahead."""
