"""Histories of instances out of a log as JSON Lines, and back into a log of their own on which no worker may run."""
