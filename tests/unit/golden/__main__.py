"""Writes the golden file of every sample, and removes those whose sample is gone."""

from unit.golden import FOLDER, render, sample_files

for old in FOLDER.glob("*.yaml"):
    old.unlink()
for file in sample_files():
    (FOLDER / file.name).write_text(render(file))
