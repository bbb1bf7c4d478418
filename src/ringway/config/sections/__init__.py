"""The sections of the configuration, one class each. `config.model` combines them. `section` is their base class, and
`kinds` has the types of their keys."""
