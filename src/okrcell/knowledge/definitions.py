"""Remove literature references from ontology definitions."""

import re

_CITATION = re.compile(
    r"\s*\[[^\[\]]*\]"  # [GO], [ NCIT ], [PMID:123]
    r"|\s*\((?:[^()]*(?:PMID|DOI|doi\.org|et al\.)[^()]*|[^()]*, (?:19|20)\d\d|Adapted from [^()]*)\)"
    r"|\s*\b(?:PMID|DOI|doi):\s?\S+?(?=[.,;]?(?:\s|$))"
)
_CATALOG = re.compile(r"\s*Reference transcriptomic data for this type can be found in [^\n]*")


def remove_references(text: str) -> str:
    """Remove citations ("[GO]", "(Smith et al. 2018, PMID:1)") and catalogue entries from a definition; keep the rest."""
    text = _CATALOG.sub("", _CITATION.sub("", text))
    return re.sub(r"\s+([.,;])", r"\1", " ".join(text.split()))
