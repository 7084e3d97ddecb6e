"""Handlers that misbehave, of every kind and over every transport: each may fail its own request and nothing else."""
