"""What a client does by feature: the actors that answer its servers."""
