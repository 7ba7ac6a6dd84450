"""The harness of the compatibility run: install, start brokers, run cases, report."""
