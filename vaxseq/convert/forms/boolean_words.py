"""True and false in words: yes and no, on and off."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Form, Reading

# (true, false, whether both in a column leave no other meaning)
_PAIRS = (
    ("true", "false", True), ("yes", "no", True), ("on", "off", True), ("y", "n", False), ("t", "f", False),
    ("ja", "nein", False), ("oui", "non", False), ("sí", "no", False), ("si", "no", False), ("vrai", "faux", False),
    ("wahr", "falsch", False), ("ja", "nee", False), ("sim", "não", False), (".true.", ".false.", False),
    ("active", "inactive", False), ("open", "closed", False),
)  # fmt: skip


class BooleanWords(Form):
    """One word for true and one for false, whatever their case. One of them alone says too little."""

    name = "boolean_words"
    of = "true and false"
    says = "true and false in words"

    def read(self, cells: pa.Array) -> Reading:
        words = pc.utf8_lower(cells)
        best = Reading(pa.nulls(len(cells), pa.bool_()), np.ones(len(cells), bool), loose=True)
        for true, false, certain in _PAIRS:
            yes, no = np.asarray(pc.equal(words, true)), np.asarray(pc.equal(words, false))
            wrong = ~(yes | no)
            if wrong.sum() < best.wrong.sum():
                best = Reading(pa.array(yes, mask=wrong), wrong, f"{true}/{false}", not certain)
            if not best.wrong.any():
                break
        return best
