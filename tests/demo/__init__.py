"""`make demo`: from a fresh clone to a finished run, as a person would do it with kubectl and helm."""
