"""JSON text ↔ JSON-RPC messages ↔ objects of `trimcp.types`, one codec for each revision."""
