"""The commands of `kubectl grpo` about runs that are on a cluster.

    commands.py   their options, and what each asks and prints
    cluster.py    kubectl, with the options that it was called with: nothing else here talks to a cluster
    why.py        a run, its events and learner 0's last line -> what it waits for, or why it failed, in five lines
    history.py    learner 0's log -> the numbers of each step
    pods.py       which of a run's pods one asks about
    logs.py       logs of several pods -> one
    following.py  those logs as they come
    page.py       a way to the page with completions: beside learner 0, or in a pod that viewer.py describes
    completions.py  groups of completions -> text
    screen.py     a run, its pods and its history -> the picture of `top`
    words.py      durations and numbers for people

All but commands.py, cluster.py, following.py and page.py are pure functions: what time it is, is an argument.
"""
