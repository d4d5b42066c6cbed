"""Tax documents as PDF; see ``document``."""
