"""What trimcp says about itself: events for logs, snapshots for `server.tree()`. No policy."""
