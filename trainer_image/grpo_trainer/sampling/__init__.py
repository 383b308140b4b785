"""Which completions are asked for, and what of them is learnt from: TRL's trainer in layers over the fleet's (fleet/generation.py).

overlap.OverlappedTrainer                    asks for batches before TRL wants them; ahead: the rows that they are of
dynamic_sampling.DynamicSamplingTrainer      replaces groups that teach nothing; spread: which; reserve: by what
arrivals.ScoringOnArrival                    hands completions to the rewards as they come
"""
