"""Attacks that are really carried out, each beside a control in which the same attack succeeds."""
