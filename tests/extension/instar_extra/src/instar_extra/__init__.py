"""What a third party can add to instar: a filter, an engine, a recipe. Written to be copied."""
