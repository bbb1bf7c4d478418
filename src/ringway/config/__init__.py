"""The configuration: its model and documentation, loading it (with all errors at once), and compiling it to a plan."""
