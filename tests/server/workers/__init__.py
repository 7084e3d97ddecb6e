"""Tests of the worker processes: link, bus, port, supervisor."""
