"""The tool that is measured, `add(a, b)`, as each of the other SDKs has it. Each file is a program
for an interpreter that has the SDK, on stdio, or on HTTP where its name says so; trimcp's own on stdio
is examples/add.py. `http_floor` is what stands below all of them."""
