"""The sections of the configuration, each a class; `config.model` puts them together. `section` and `kinds` say what
they share: how a section is read, and what kinds of values its keys have."""
