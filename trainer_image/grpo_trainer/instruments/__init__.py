"""What is measured and remembered of a learner, for reports and for the exporter: clocks, counts, its progress, its log.
Knows no other room.
"""
