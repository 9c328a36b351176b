"""Where HTTP requests go."""

from django.urls import include, path

from mobility.admin import site
from mobility.urls import urlpatterns as mobility_urls

urlpatterns = [
    path("admin/", site.urls),
    path("", include(mobility_urls)),
]

# Problems in JSON under /api/, Django's own pages elsewhere.
handler400 = "mobility.errors_rest.bad_request"
handler403 = "mobility.errors_rest.permission_denied"
handler404 = "mobility.errors_rest.page_not_found"
handler500 = "mobility.errors_rest.server_error"
