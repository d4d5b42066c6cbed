"""The tests, in the tree\x27s own layout."""
