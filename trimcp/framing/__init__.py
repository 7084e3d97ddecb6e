"""Bytes to frames and back: incremental, limited in size, without I/O."""
