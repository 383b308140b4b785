"""What ends the demo before its time."""


class DemoError(Exception):
    """One sentence for whoever started the demo: what is wrong, and what to do."""
