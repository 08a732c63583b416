"""Where the example project mounts things."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="swagger-ui")),
    path("admin/", admin.site.urls),
    path("chatapi/", include("django_chatapi.urls")),
    path("chatapi-agents/", include("django_chatapi.agents.urls")),
    path("client/<token>/", TemplateView.as_view(template_name="example_project/client.html"), name="client"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="swagger-ui"),
]
