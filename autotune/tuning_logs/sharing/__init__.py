"""A tuning database over HTTP: read and append. docs/sharing.md has the protocol and who is trusted with what.

``server`` and ``serving`` need the extra ``server``, ``transport`` and ``client`` the extra ``client``; nothing else
imports Starlette, uvicorn or httpx.
"""
