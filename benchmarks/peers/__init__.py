"""The tool that is measured, `add(a, b)`, as each of the other SDKs has it. Each file is a program
on stdio for an interpreter that has the SDK; trimcp's own is examples/add.py."""
