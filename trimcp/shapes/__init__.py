"""From a type hint to its JSON Schema and to the function that builds its values.

`builder.ShapeBuilder` walks a hint and asks the other files for its parts: `scalars`, `containers`,
`unions`, `classes`, `foreign` (pydantic, msgspec), `constraints` (what `Annotated` adds). `dump`
goes the other way, from any value to JSON. `server.schema`, `arguments` and `results` use both.
"""
