"""Sign-in on top of django-allauth: who may guess how often, second factors, "confirm it's you", sessions.

allauth does the ceremonies; this package gives it our words, our limits and our sealing, and says when a second factor
or a confirmation is needed. The pages are in views/sign_in.py and views/security.py.
"""
