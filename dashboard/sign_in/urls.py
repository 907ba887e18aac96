"""Addresses of the sign-in. Names are those that allauth asks for; what is not here of its pages is not reachable."""

from allauth.account import views as account
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from django.urls import path, re_path

from ..views import security, sign_in
from .fresh import confirmed

urlpatterns = [
    path("accounts/login/", sign_in.SignIn.as_view(), name="login"),
    path("accounts/login/", sign_in.SignIn.as_view(), name="account_login"),
    path("accounts/login/code/", sign_in.SecondStep.as_view(), name="mfa_authenticate"),
    path("accounts/logout/", sign_in.sign_out, name="logout"),
    path("accounts/confirm/", sign_in.Confirm.as_view(), name="account_reauthenticate"),
    path("accounts/confirm/code/", sign_in.ConfirmByCode.as_view(), name="mfa_reauthenticate"),
    path("accounts/confirm/key/", sign_in.ConfirmByKey.as_view(), name="mfa_reauthenticate_webauthn"),
    path("accounts/password/", sign_in.AskReset.as_view(), name="account_reset_password"),
    path("accounts/password/sent/", account.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^accounts/password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[0-9A-Za-z-]+)/$",
        sign_in.NewPassword.as_view(),
        name="account_reset_password_from_key",
    ),
    path(
        "accounts/password/changed/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"
    ),
    path("settings/security/", security.security, name="mfa_index"),
    path("settings/security/needed/", security.needed, name="second-factor-needed"),
    path("settings/security/password/", security.ChangePassword.as_view(), name="account_change_password"),
    path("settings/security/app/", confirmed(security.SetUpApp.as_view()), name="mfa_activate_totp"),
    path("settings/security/app/remove/", confirmed(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("settings/security/codes/", confirmed(recovery_codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path(
        "settings/security/codes/new/",
        confirmed(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("settings/security/keys/add/", confirmed(security.AddKey.as_view()), name="mfa_add_webauthn"),
    path("settings/security/keys/<int:pk>/", confirmed(security.RenameKey.as_view()), name="mfa_edit_webauthn"),
    path(
        "settings/security/keys/<int:pk>/remove/", confirmed(security.RemoveKey.as_view()), name="mfa_remove_webauthn"
    ),
    path("settings/security/sessions/<int:pk>/end/", security.end_session, name="end-session"),
    path("settings/security/sessions/end/", security.end_other_sessions, name="end-other-sessions"),
]
