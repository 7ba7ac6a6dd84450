"""One module per suite: how it is installed, run and read. `harness/suite.py` says what a suite is."""
