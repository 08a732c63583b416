"""Single rows, read and written without Django's SQL compiler.

Only for the path that every message takes: there the ORM spends more time on making a statement than the database
spends on running it, and the statement is always the same. Here it is made once. Values pass through the fields
and the backend, as in the ORM, so that every database stores and gives back the same. Django's ``pre_save`` and
``post_save`` are not sent.
"""

# ruff: noqa: S608 (only names of tables and columns are put into statements)

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from django.db import connections, models, router

Row = TypeVar("Row", bound=models.Model)


def find(model: type[Row], **where: Any) -> Row | None:
    """``model.objects.filter(**where).first()``, for fields that identify one row.

    Args:
        where: plain values; None finds nothing.
    """
    connection = connections[router.db_for_read(model)]
    statement, names, converters = _select(model, tuple(where), connection.alias)
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(connection, model, where))
        found = cursor.fetchone()
    if found is None:
        return None
    values = list(found)
    for index, convert, column in converters:
        values[index] = convert(values[index], column, connection)
    return model.from_db(connection.alias, names, values)


def lock_free(model: type[models.Model], **where: Any) -> bool:
    """Lock one row until the transaction ends, unless somebody else has.

    Where the database cannot pass over locked rows, it waits for them.

    Args:
        where: plain values, of fields that identify one row.

    Returns:
        Whether there is such a row, and it is locked now.
    """
    connection = connections[router.db_for_write(model)]
    with connection.cursor() as cursor:
        cursor.execute(_lock(model, tuple(where), connection.alias), _values(connection, model, where))
        return cursor.fetchone() is not None


def insert(row: models.Model) -> None:
    """``row.save(force_insert=True)``, for a row whose primary key the database gives out."""
    model = type(row)
    connection = connections[router.db_for_write(model)]
    statement, fields = _insert(model, connection.alias)
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if connection.features.can_return_columns_from_insert:
            [row.pk] = cursor.fetchone()
        else:
            meta: Any = model._meta
            row.pk = connection.ops.last_insert_id(cursor, meta.db_table, meta.pk.column)
    row._state.adding, row._state.db = False, connection.alias


def update(model: type[models.Model], where: Mapping[str, Any], columns: Mapping[str, Any]) -> int:
    """``model.objects.filter(**where).update(**columns)``.

    Args:
        where: plain values; None finds nothing.

    Returns:
        How many rows were found.
    """
    connection = connections[router.db_for_write(model)]
    statement = _update(model, tuple(where), tuple(columns), connection.alias)
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(connection, model, columns) + _values(connection, model, where))
        return int(cursor.rowcount)


def _values(connection: Any, model: type[models.Model], values: Mapping[str, Any]) -> list[Any]:
    field: Any = model._meta.get_field
    return [field(name).get_db_prep_save(value, connection) for name, value in values.items()]


@lru_cache
def _select(
    model: type[models.Model], where: tuple[str, ...], alias: str
) -> tuple[str, list[str], list[tuple[int, Callable[..., Any], Any]]]:
    """The statement, the names of the attributes it gives, and what turns its values into theirs."""
    connection, meta = connections[alias], model._meta
    quote: Any = connection.ops.quote_name
    converters = []
    for index, field in enumerate(meta.concrete_fields):
        column = field.get_col(meta.db_table)
        both = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
        converters += [(index, convert, column) for convert in both]
    columns = ", ".join(quote(field.column) for field in meta.concrete_fields)
    statement = f"SELECT {columns} FROM {quote(meta.db_table)} WHERE {' AND '.join(_equal(quote, model, where))}"
    return statement, [field.attname for field in meta.concrete_fields], converters


@lru_cache
def _lock(model: type[models.Model], where: tuple[str, ...], alias: str) -> str:
    connection = connections[alias]
    quote: Any = connection.ops.quote_name
    statement = f"SELECT 1 FROM {quote(model._meta.db_table)} WHERE {' AND '.join(_equal(quote, model, where))}"
    if connection.features.has_select_for_update:
        skip_locked = connection.features.has_select_for_update_skip_locked
        statement += f" {connection.ops.for_update_sql(skip_locked=skip_locked)}"
    return statement


@lru_cache
def _insert(model: type[models.Model], alias: str) -> tuple[str, list[Any]]:
    """The statement, and the fields whose values it takes."""
    connection, meta = connections[alias], model._meta
    quote: Any = connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    columns = ", ".join(quote(field.column) for field in fields)
    statement = f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"
    if connection.features.can_return_columns_from_insert:
        statement += f" RETURNING {quote(meta.pk.column)}"
    return statement, fields


@lru_cache
def _update(model: type[models.Model], where: tuple[str, ...], columns: tuple[str, ...], alias: str) -> str:
    quote: Any = connections[alias].ops.quote_name
    changes, condition = ", ".join(_equal(quote, model, columns)), " AND ".join(_equal(quote, model, where))
    return f"UPDATE {quote(model._meta.db_table)} SET {changes} WHERE {condition}"


def _equal(quote: Callable[[str], str], model: type[models.Model], names: tuple[str, ...]) -> list[str]:
    field: Any = model._meta.get_field
    return [f"{quote(field(name).column)} = %s" for name in names]
