"""From a type hint to its JSON Schema and to the function that builds its values.

`builder.ShapeBuilder` walks a hint and asks the other files for its parts: `scalars`, `containers`,
`unions`, `classes`, `foreign` (pydantic, msgspec), `constraints` (what `Annotated` adds). `hints`
resolves annotations and `docstrings` reads descriptions. `values` is the whole way for one value;
`dump` goes the other way, from any value to JSON. The package does no I/O and knows neither server
nor client: `server.schema`, `arguments` and `results` use it, and `client.output`.
"""
