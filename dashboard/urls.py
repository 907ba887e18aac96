from django.contrib.auth import views as auth
from django.urls import path

from .views import catalog, health, orders, sim_cards, status

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
    path("healthz", health.healthz, name="healthz"),
]
