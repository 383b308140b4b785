"""A tracker's process that reads nothing and does not end."""

import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
