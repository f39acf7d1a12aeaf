"""What becomes of a check that does not pass."""


class Failed(Exception):
    """Something is not as it must be."""


class Skipped(Exception):
    """The check could not be made here; its text says why."""
