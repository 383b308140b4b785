"""The commands of `kubectl grpo` about runs that are on a cluster.

    commands.py   their options, and what each asks and prints
    cluster.py    kubectl, with the options that it was called with: nothing else here talks to a cluster
    why.py        a run, its events and learner 0's last line -> what it waits for, or why it failed, in five lines
    history.py    learner 0's log -> the numbers of each step
    pods.py       which of a run's pods one asks about
    logs.py       logs of several pods -> one
    screen.py     a run, its pods and its history -> the picture of `top`
    words.py      durations and numbers for people

All but the first two are pure functions: what time it is, is an argument.
"""
