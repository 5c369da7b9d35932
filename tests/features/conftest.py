"""What isn't collected here."""

collect_ignore = ["packaged"]  # stands for an installed package: imported only by the tests that install it
