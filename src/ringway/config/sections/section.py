"""The base class of all sections."""

import contextlib
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from ringway.config.environment import Expanded


class Section(BaseModel):
    """What all sections share: unknown keys are errors, and values must have the exact TOML type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_the_environment(cls, value: Any) -> Any:
        """The value of an environment variable is text. This converts it where a key needs a number or a boolean."""
        if isinstance(value, dict) and any(isinstance(entry, Expanded) for entry in value.values()):
            return {key: _typed(cls, key, entry) for key, entry in value.items()}
        return value


def _typed(section: type[Section], key: str, value: Any) -> Any:
    about = section.model_fields.get(key)
    if about is None or not isinstance(value, Expanded):
        return value
    if about.annotation is bool:
        return {"true": True, "false": False}.get(value, value)
    choices = get_args(about.annotation)
    if about.annotation in (int, float) or (choices and all(isinstance(choice, int) for choice in choices)):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(value)
    return value
