"""The steps of `check_server`: lists, calls with generated arguments, cancels and drains, subscriptions."""
