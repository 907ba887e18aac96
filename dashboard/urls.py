from django.contrib.auth import views as auth
from django.urls import path

from .views import booking, bookings, catalog, health, inbox, orders, overview, shell, sim_cards, status

urlpatterns = [
    path("accounts/login/", auth.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("catalog/", catalog.catalog, name="catalog"),
    path("catalog/<int:pk>/", catalog.product, name="product"),
    path("catalog/<int:pk>/refresh/", catalog.refresh, name="refresh-product"),
    path("orders/", orders.orders, name="orders"),
    path("orders/<int:pk>/", orders.order, name="order"),
    path("sim-cards/", sim_cards.sim_cards, name="sim-cards"),
    path("status/", status.status, name="status"),
    path("status/<int:pk>/read/", status.read_now, name="read-now"),
    path("panels/catalog/", catalog.PANEL.view, name="panel-catalog"),
    path("panels/product/<int:pk>/", catalog.PRODUCT_PANEL.view, name="panel-product"),
    path("panels/orders/", orders.PANEL.view, name="panel-orders"),
    path("panels/order/<int:pk>/", orders.ORDER_PANEL.view, name="panel-order"),
    path("panels/sim-cards/", sim_cards.PANEL.view, name="panel-sim-cards"),
    path("panels/status/", status.PANEL.view, name="panel-status"),
    path("", overview.overview, name="overview"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("bookings/", bookings.bookings, name="bookings"),
    path("bookings/<int:pk>/", booking.booking, name="booking"),
    path("panels/shell/", shell.PANEL.view, name="panel-shell"),
    path("panels/figures/", overview.FIGURES.view, name="panel-figures"),
    path("panels/running/", overview.RUNNING_NOW.view, name="panel-running"),
    path("panels/newest/", overview.NEWEST.view, name="panel-newest"),
    path("panels/inbox/", inbox.PANEL.view, name="panel-inbox"),
    path("panels/bookings/", bookings.PANEL.view, name="panel-bookings"),
    path("panels/booking-hero/<int:pk>/", booking.HERO.view, name="panel-booking-hero"),
    path("panels/booking/<int:pk>/", booking.THREAD.view, name="panel-booking"),
    path("healthz", health.healthz, name="healthz"),
]
