"""The server's side: what users declare, and the actors that answer for it.

`app` is `Server`, what users import. `running` is one run of it; `serving` opens its transports.
`service` connects a run to the sessions. `tools` is the actor for tools, and `tool` one of them:
`signature`, `schema`, `arguments` and `results` prepare a function when it is declared.

`declarations` is the part of `Server` that declares. `resources`, `prompts` and `completions` are
actors as `tools` is one; `texts` and `uri_template` read their arguments, `contents` and `messages`
shape what their functions return, `pagination` and `caching` are about the lists of all of them.

`extension` is what a program declares of an extension of the protocol, `extensions` are all of a
server, `detached` is work of theirs that outlives its request. `context` and `session_context` are
what functions get, `client_view` what both know of the client. `hearing` runs what is told of
notifications.
"""
