"""Events and commands: frozen models with a written name that no rename in Python can change."""

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from process_manager.errors import DefinitionError

Json = dict[str, Any]
"""What a JSON object decodes to."""

Upcaster = Callable[[Json], Json]
"""Takes the data of one version of a message to the next version; pure."""


class Message(BaseModel):
    """What events and commands have in common.

    `type` is the name that stands in the log for ever: namespaced, without a version. `version` counts up when
    the shape changes; `upcasters` then holds one function for each step, from 1 to 2, from 2 to 3 and so on.
    A class without `type` is a base for others and cannot be written.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    message_type: ClassVar[str] = ""
    message_version: ClassVar[int] = 1
    upcasters: ClassVar[tuple[Upcaster, ...]] = ()

    def __init_subclass__(cls, *, type: str = "", version: int = 1, upcasters: tuple[Upcaster, ...] = (), **config: Any) -> None:
        try:
            super().__init_subclass__(**config)
        except TypeError as error:
            mend = "the class arguments are type, version and upcasters, and pydantic's configuration"
            raise DefinitionError(cls.__name__, "", f"unknown class argument {', '.join(config)}", mend) from error
        if type.startswith(("$", "pm.")):
            raise DefinitionError(cls.__name__, "", f"the type name {type!r} is reserved", "choose a namespace of your own")
        if version < 1 or len(upcasters) != version - 1:
            raise DefinitionError(
                cls.__name__, "", f"version {version} comes with {len(upcasters)} upcasters",
                f"give one for each step from an older version: {max(version - 1, 0)}",
            )  # fmt: skip
        cls.message_type = type
        cls.message_version = version
        cls.upcasters = upcasters


class Event(Message):
    """Something that happened. Named in the past tense: `StockReserved`."""


class Command(Message):
    """Something that one handler shall do. Named in the imperative: `ReserveStock`."""


E = TypeVar("E", bound=Event)
