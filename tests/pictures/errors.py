"""What `make pictures` tells a person."""


class PictureError(Exception):
    """Something a person should read: what cannot be drawn, and why."""
