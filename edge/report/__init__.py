"""The flight report."""
