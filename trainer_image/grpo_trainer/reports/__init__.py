"""What tells of a learner: callbacks and observers that read it and write to the instruments, and the exporter. Changes
nothing that is learnt.
"""
