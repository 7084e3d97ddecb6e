"""The server's side of authorization: verifiers of tokens, DPoP, metadata, challenges."""
