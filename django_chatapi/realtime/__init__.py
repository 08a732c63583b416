"""Waiting and waking: who waits for a client's events, and how they hear of one.

The database is the truth. A nudge says that a client has news, and up to which sequence number; it is allowed to
get lost, since every process that holds waiters looks for itself every few seconds.
"""
