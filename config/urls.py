"""Where HTTP requests go."""

from django.contrib import admin
from django.urls import include, path

from mobility.urls import urlpatterns as mobility_urls

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include(mobility_urls)),
]
