"""A module of a host's that cannot be imported, and not for want of it."""

raise ZeroDivisionError("while importing")
