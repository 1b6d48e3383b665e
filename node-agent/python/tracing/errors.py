"""The one error that a person sees: what was found where, and what was expected."""


class TraceError(Exception):
    """A specification that cannot be traced; the message names file, place and reason."""
