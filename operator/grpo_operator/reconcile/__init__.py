"""Pure: (run, observed children, now) becomes a plan. Conditions and policies, each in its own file."""
