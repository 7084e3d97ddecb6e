"""The features of a client: its calls of tools, resources, prompts and subscriptions, and its answers to the server.

`client_features` has the functions that answer: sampling, elicitation and roots. `elicitation` is the actor that has a
user answer one question at a time; `listen` is one `subscriptions/listen` request.
"""
