"""A package, so that pytest does not mix up its conftest with that of the protocol tests."""
