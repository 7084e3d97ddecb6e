"""The server's side: what users declare, and the actors that answer for it.

`app` is `Server`, what users import. `running` is one run of it; `serving` opens its transports.
`service` connects a run to the sessions. `tools` is the actor for tools, and `tool` one of them:
`signature`, `schema`, `arguments` and `results` prepare a function when it is declared.
"""
