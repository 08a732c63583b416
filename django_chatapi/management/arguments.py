"""What commands check of their arguments alike."""

from django.core.management.base import CommandError
from django.utils.translation import gettext as _


def check_text(name: str, value: str) -> None:
    """Refuse bytes that are no UTF-8: Python hands them on as text that no database and no socket takes."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CommandError(_("%(name)s: It is not UTF-8.") % {"name": name}) from error
