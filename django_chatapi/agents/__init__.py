"""The agents' door: an API for people who answer clients, and the socket that keeps their pages live.

Agents are users of the site (contract, section 11). Mount it with
``path("chatapi-agents/", include("django_chatapi.agents.urls"))``.
"""
