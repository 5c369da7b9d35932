"""What pytest leaves alone here."""

collect_ignore = ["run_atheris.py"]  # a program of its own, which needs atheris
