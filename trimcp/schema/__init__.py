"""Type hints ↔ JSON Schemas: reading hints, loading and dumping values, validation and its messages."""
