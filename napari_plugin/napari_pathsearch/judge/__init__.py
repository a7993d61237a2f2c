"""Judging: verdicts as they happen, rounds, and one match after the other."""
