"""The errors of the read side."""

from process_manager.errors import ProcessManagerError


class ProjectionError(ProcessManagerError):
    """Views cannot be kept or read; the message says what to do."""


class Overtaken(ProjectionError):
    """Another process has moved these projections on; read their positions again."""


class ProjectionFailed(ProjectionError):
    """A projection, called `name`, cannot take a record, or its rows cannot be written."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
