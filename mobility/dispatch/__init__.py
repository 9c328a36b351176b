"""Whom to send: candidates and assignment."""
