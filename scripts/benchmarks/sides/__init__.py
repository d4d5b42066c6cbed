"""What is compared, each in a process of its own and in an environment of its own: run with ``python -m``."""
