"""The only room that imports keras: Sequence and what stands around model.fit."""
