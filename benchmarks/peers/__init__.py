"""The servers and clients that are measured, each a program for an interpreter (or a Node) that has the SDK.

`python_sdk`, `fast_mcp` and `typescript_sdk.mjs add` have one tool, `add(a, b)`, as examples/add.py has it for trimcp;
names that begin with `http_` serve it on HTTP. Names that begin with `work_`, and `typescript_sdk.mjs work`, have all
the tools of `benchmarks.work`. `http_floor` is the floor on HTTP.
"""
