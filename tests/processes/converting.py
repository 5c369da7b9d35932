"""All that a conversion imports as it goes, for an interpreter whose forks convert."""

from __future__ import annotations

from vaxseq.convert.forms import forms
from vaxseq.convert.readers import readers
from vaxseq.convert.writers import writers

for known in (forms, readers, writers):
    known()
