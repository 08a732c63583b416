"""Column types that behave the same on every database."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[Any, Any]
    _TextField = models.TextField[Any, Any]
else:
    _CharField, _TextField = models.CharField, models.TextField


class ExactCharField(_CharField):
    """Text compared byte for byte.

    MySQL and MariaDB compare case-insensitively and ignore trailing spaces unless told otherwise, so that the
    clients ``Ann`` and ``ann`` would be one.
    """

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            nopad = "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"
            return {**parameters, "collation": nopad}
        return parameters


class JSONTextField(_TextField):
    """A JSON value kept as the text it was made of.

    Deliberately not ``JSONField``: PostgreSQL's jsonb reorders keys, respells numbers and refuses the
    character U+0000, and what clients and bots say has to pass through untouched.
    """

    # For type checkers (django-stubs): whatever JSON can say.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)
