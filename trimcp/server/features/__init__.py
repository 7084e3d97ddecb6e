"""The features of a server: what is declared of each, and the actor that answers for it."""
