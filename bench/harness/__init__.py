"""The benchmark's harness: standard library only."""
