"""What a dataset on disk is: its schema, its manifest, and the checks of a file's form."""
