"""Tests of the local Pub/Sub."""
