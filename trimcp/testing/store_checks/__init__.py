"""The checks of `check_store`, by the part of the store that they check."""
