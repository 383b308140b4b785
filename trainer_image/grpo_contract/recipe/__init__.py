"""What operator, command and pods all judge a recipe by: keys, values, defaults of other times, and what goes together."""
