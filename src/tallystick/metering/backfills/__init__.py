"""Amendments and backfills: what was recorded is put right, and nothing that was recorded is lost.

domain.py      states, scopes, ids of events that follow others
amending.py    one event is void and another stands for it
service.py     backfills: opened, filled, committed, cancelled, reverted
"""
