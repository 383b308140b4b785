"""The demo's task, its base model and its data: all made from nothing, the same bytes each time, nothing downloaded."""
