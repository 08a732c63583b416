"""Pages over tables that hold millions of rows: nothing here reads or counts more than a fixed number of them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _

#: Most rows that are counted, listed or deleted.
ROW_LIMIT = 10_000


def bounded_count(rows: QuerySet[Any]) -> int:
    """How many rows there are; ``ROW_LIMIT + 1`` stands for any number above the limit."""
    return rows.order_by().values("pk")[: ROW_LIMIT + 1].count()


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages through the first ``ROW_LIMIT`` rows; the rest is found by searching and filtering."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        return min(self._found, ROW_LIMIT)

    @cached_property
    def limit(self) -> int | None:
        """``ROW_LIMIT`` when there are more rows than that."""
        return ROW_LIMIT if self._found > ROW_LIMIT else None

    @cached_property
    def _found(self) -> int:
        return bounded_count(self.object_list)


class NewestFirstList(ChangeList):
    """Sorts by nothing but the primary key: no other column of a huge table has an index for it."""

    def get_ordering_field(self, field_name: Any) -> None:
        return None


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """For rows that the API writes: people read them, newest first, and neither add nor change any."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ["-pk"]
    sortable_by = ()
    list_per_page = 50
    actions: Any = None

    class Media:
        css = {"all": ["django_chatapi/admin/chatapi.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirstList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BoundedDeletion(admin.ModelAdmin):  # type: ignore[type-arg]
    """Deletes only what is small.

    Django collects everything that goes along with an object, one by one, to show it before the deletion and
    once more to delete it.
    """

    #: What goes along, and the lookup from there to the object.
    deleted_along: Mapping[type[Model], str] = {}
    #: What to do instead, as the end of a sentence.
    instead_of_deletion: Any = ""

    def get_deleted_objects(
        self, objs: Sequence[Model] | QuerySet[Model], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        names = [f"{capfirst(self.opts.verbose_name)}: {obj}" for obj in objs]
        counts: dict[str, int] = {str(self.opts.verbose_name_plural): len(names)}
        lacking: set[str] = set()
        protected: list[str] = []
        for model, lookup in self.deleted_along.items():
            options = model._meta
            number = bounded_count(model._default_manager.filter(**{f"{lookup}__in": [obj.pk for obj in objs]}))
            if not number:
                continue
            counts[str(options.verbose_name_plural)] = number
            if not request.user.has_perm(f"{options.app_label}.delete_{options.model_name}"):
                lacking.add(str(options.verbose_name))
            if number > ROW_LIMIT:
                protected.append(
                    _("more than %(limit)d %(what)s, too many to delete from here; %(instead)s")
                    % {
                        "limit": ROW_LIMIT,
                        "what": options.verbose_name_plural,
                        "instead": self.instead_of_deletion,
                    }
                )
        return names, counts, lacking, protected
