"""The parts of ``python -m tools.package``: requirements, contents, archive."""
