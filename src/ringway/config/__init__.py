"""The configuration: its model (the schema is the documentation), loading with all errors at once, compiling."""
