"""Subscriptions: who is told of which change, and the actor that tells them."""
