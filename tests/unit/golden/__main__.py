"""Writes the golden files, and removes those whose sample is gone."""

from unit.golden import FOLDER, golden_files

for old in FOLDER.glob("*.yaml"):
    old.unlink()
for name, text in golden_files().items():
    (FOLDER / name).write_text(text)
