"""What more than one function needs. Nothing in here imports from ``functions``."""
