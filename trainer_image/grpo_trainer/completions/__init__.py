"""What learners learnt from, kept on the volume for people to read. It is never waited for, and ends no run.

keeper: a thread that takes batches · batch: what a batch is · table: its rows · signals: what is suspicious in a text ·
archive: files, their merging and their rotation
"""
