"""The one exception for mistakes that a user can mend; `cli` prints it as a single line."""


class UserError(Exception):
    """Says what is wrong, where (file, row, flag) and what to do about it."""
