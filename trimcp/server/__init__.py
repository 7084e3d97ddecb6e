"""The server side: `Server`, its parts, and the handlers of its features.

| module | contents |
| --- | --- |
| `app` | `Server`, the object that users import |
| `feature_decorators`, `hook_decorators` | the methods of `Server` that declare; they call `declarations` |
| `declarations` | `Declarations`: the settings, and everything that the program declared |
| `run_registry`, `run` | `RunRegistry`: the runs of a server; `ServerRun`: one run |
| `service` | `ServerService`: the routes and the capabilities that the sessions of a run use |
| `serving`, `http`, `process` | open transports; serve by HTTP; run a process of trimcp's own |
| `server_extension`, `extension_registry` | one extension of the protocol; all extensions of a server |
| `middleware`, `deferred_work` | functions around the handlers of requests; work that goes on after the answer |
| `features` | tools, resources, prompts, completion, logging, subscriptions, providers |
| `invocation` | calls functions of the program: signatures, arguments, results, dependencies |
| `options` | checks the types of options that a program gives |
| `context` | the contexts of functions, and the questions that they ask the client |

Imports point from the top of this list to its end: see the contracts in `pyproject.toml`.
"""
