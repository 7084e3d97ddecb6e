"""Calls the functions of users: reads their signatures, binds their arguments, converts their results."""
