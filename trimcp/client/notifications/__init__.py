"""Notifications of a server: the objects and queues that programs read, the hub that fills the queues, and handlers."""
