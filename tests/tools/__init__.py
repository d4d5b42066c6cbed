"""Tests of what developers and CI run."""
