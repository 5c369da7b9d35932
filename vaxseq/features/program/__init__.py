"""What is computed: columns and learned state to arrays, by the one NumPy program."""
