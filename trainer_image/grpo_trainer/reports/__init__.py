"""What a learner says of itself: progress, metrics, logs, and where its time goes. Changes nothing that is learnt."""
