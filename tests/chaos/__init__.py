"""Faults on purpose: clients ride, processes are killed, and afterwards nothing may be lost, doubled or made up."""
