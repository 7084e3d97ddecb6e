"""Subscriptions: which changes a client gets, and the actor that notifies clients."""
