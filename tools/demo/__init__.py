"""The demonstration: ``make run`` and ``make demo``."""
