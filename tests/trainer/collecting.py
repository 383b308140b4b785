"""All completions of a fleet's tickets, for tests: what the seam to TRL takes in portions."""

from collections.abc import Sequence

from grpo_trainer.fleet.fleet import Fleet, Groups, Ticket

LONGEST_S = 600.0


def collect(fleet: Fleet, tickets: Sequence[Ticket]) -> Groups:
    """P x G, in their order."""
    fleet.wait(tickets, LONGEST_S)
    return [ticket.completions or [] for ticket in tickets]


def are_there(tickets: Sequence[Ticket]) -> bool:
    return all(ticket.completions for ticket in tickets)
