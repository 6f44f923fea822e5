"""Parsing of author labels: placeholders, remarks, qualifiers, running numbers, stages."""

import html
import re
import unicodedata
from collections.abc import Iterator

from okrcell.ontology.ontology import normalize_name

_YEARS = re.compile(r"(\d{1,3})(?:\.\d+)? *-?(?:y|yr|yrs|yo|y o|years?)\b(?: *-?old)?", re.IGNORECASE)
_MONTHS = re.compile(r"(\d{1,2}) *-?(?:mo|mos|months?)\b", re.IGNORECASE)
_POST_FERTILIZATION = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)? *-?(?:pcw|weeks? (?:post|after)[ -]*(?:conception|fertili[sz]ation))", re.IGNORECASE
)
_GESTATION = re.compile(
    r"(?:\bgw *(\d{1,2})|(\d{1,2})(?:st|nd|rd|th)? *-?(?:gw\b|weeks?(?: of)?[ -]gestation|gestational weeks?))",
    re.IGNORECASE,
)
_CARNEGIE = re.compile(r"(?:\bcs|carnegie(?: stage)?) *(\d{1,2})", re.IGNORECASE)
CANONICAL_WORDS = {
    "progenitor": "precursor", "neuronal": "neuron", "neurone": "neuron", "endothelium": "endothelial",
    "epithelium": "epithelial", "muscular": "muscle", "glia": "glial", "microglia": "microglial",
    "centre": "center", "pulmonary": "lung", "cardiac": "heart", "renal": "kidney", "hepatic": "liver",
    "pancreatic": "pancreas", "intestinal": "intestine", "splenic": "spleen", "gastric": "stomach", "thymic": "thymus",
    "retinal": "retina", "dermal": "skin", "cutaneous": "skin", "cerebral": "brain", "colonic": "colon",
    "vascular": "vessel", "prostatic": "prostate", "ovarian": "ovary", "testicular": "testis",
    "ductal": "duct", "acinar": "acinus", "i": "1", "ii": "2", "iii": "3", "iv": "4", "hi": "high", "bright": "high",
    "bri": "high", "lo": "low", "dim": "low", "int": "intermediate", "activation": "activated", "ciliary": "ciliated",
    "neutrophilic": "neutrophil", "basophilic": "basophil", "eosinophilic": "eosinophil", "monocytic": "monocyte",
    "ventricular": "ventricle", "atrial": "atrium", "arterial": "artery", "venous": "vein", "capillar": "capillary",
    "mesothelium": "mesothelial", "urothelium": "urothelial", "mesenchyme": "mesenchymal", "stroma": "stromal",
    "nasal": "nose", "bronchial": "bronchus", "tracheal": "trachea", "alveolus": "alveolar", "decidua": "decidual",
    "proliferating": "cycling", "proliferative": "cycling", "dividing": "cycling", "mitotic": "cycling",
    "nonclassic": "nonclassical", "effectors": "effector",
}  # fmt: skip
"""Canonical word of adjectives, synonyms and Roman numerals."""
CD_ANTIGENS = {
    "PTPRC": "CD45", "MS4A1": "CD20", "FCGR3A": "CD16", "NCAM1": "CD56", "FCGR1A": "CD64", "ITGAX": "CD11c",
    "ITGAM": "CD11b", "ITGAE": "CD103", "ITGA2B": "CD41", "ITGB3": "CD61", "CD3D": "CD3", "CD3E": "CD3", "CD3G": "CD3",
    "CD8A": "CD8", "CD8B": "CD8", "IL2RA": "CD25", "IL7R": "CD127", "IL3RA": "CD123", "SELL": "CD62L", "THBD": "CD141",
    "CLEC4C": "CD303", "NRP1": "CD304", "PECAM1": "CD31", "THY1": "CD90", "NT5E": "CD73", "ENG": "CD105", "MME": "CD10",
    "SDC1": "CD138", "TFRC": "CD71", "GYPA": "CD235a", "CR2": "CD21", "FCER2": "CD23", "FUT4": "CD15", "B3GAT1": "CD57",
    "KLRB1": "CD161", "KLRD1": "CD94", "PROM1": "CD133", "CSF1R": "CD115", "MCAM": "CD146", "CXCR3": "CD183",
    "CXCR5": "CD185", "ALCAM": "CD166", "SIGLEC1": "CD169",
}  # fmt: skip
"""CD antigens by the symbols of their genes: an "FCGR3A+ monocyte" is a CD16-positive monocyte."""
FILLER_WORDS = frozenset(
    {"cell", "of", "the", "in", "a", "an", "and", "with", "from", "type", "human", "lineage", "like", "population"}
    | {"subset", "group", "alphabeta", "thymusderived", "positive", "disease"}
)
"""Filler words that labels often omit; they only break ties between names."""
LOW_WEIGHT_WORDS = frozenset({"mature", "technology", "transcription", "profiling"})
"""Words that labels sometimes omit; they have a low weight."""
_PHRASES = (
    (re.compile(r"\balpha beta\b"), "alphabeta"),
    (re.compile(r"\bgamma delta\b"), "gammadelta"),
    (re.compile(r"\bthymus derived\b"), "thymusderived"),
    (re.compile(r"\b(t|b|nk|natural killer) lymphocyte\b"), r"\1 cell"),
    (re.compile(r"\bstem (?:and |or )?(?:progenitor|precursor)\b"), "progenitor"),
    (re.compile(r"\b(non|pre|pro|double) (?=[a-z0-9])"), r"\1"),
    (re.compile(r"\b([tb])cell\b"), r"\1 cell"),
)
_MARKER = r"cd\d+[a-z]{0,2}?"
_MARKER_LEVEL = re.compile(
    rf"\b({_MARKER}|[a-z]+\d[a-z0-9]*|lin|epcam|kit) ?(pos|positive|neg|negative|high|hi|bright|low|lo|dim)\b"
)
_BARE_MARKER = re.compile(rf"(?<![^ ])({_MARKER})(?= |$)")
_GLUED_WORDS = re.compile(
    r"(?<=[a-z+])(?=CD\d)|(?<=[a-z]{2})(?=[A-Z][a-z]{2})|(?<=CD4)(?=T)|(?<=CD8)(?=T)|(?<=[a-z]{4})(?=\d)"
)
_GLUED_POSITIVE = re.compile(r"(?<=[A-Z0-9])pos(?![a-z])")
_GENE_LEVEL = re.compile(r"\b([A-Z][A-Z0-9-]+)[ _]+(high|hi|low|lo|pos|neg)\b")
_CD_GENE = re.compile(rf"\b({'|'.join(sorted(CD_ANTIGENS))})(?![A-Za-z0-9])")
_SIGNS = {"pos": "+", "positive": "+", "neg": "-", "negative": "-", "high": "high", "hi": "high", "bright": "high",
         "low": "low", "lo": "low", "dim": "low"}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(na|n a|nan|none|null|nil|tbd|missing|other|misc|miscellaneous|ambiguous|contamination|debris|hybrid|mixed"
    r"|unknown|un(assigned|annotated|classified|defined|identified|labell?ed|certain|determined|resolved|specified)"
    r"|not (available|assigned|applicable|annotated|determined|known|provided|reported|specified)"
    r"|low quality|doublet|multiplet|cell|total|all)( cell| type| cell type| tissue)?"
    r"|((cell )?(cluster|type|subtype|group|class|node|patient|sample|donor|leiden|louvain|seurat cluster|c) ?)?"
    r"\d+[a-wyz]?"
    r"( specific| cluster| cell)*"
)
_MIXTURE = re.compile(
    r"(mix|mixed|hybrid|unknown|ambiguous|low quality|(doub|trip|multip)let|debris|unassigned)( cell| cluster)+"
)
_STAGE = re.compile(r"\b(adult|fetal|foetal|embryonic|newborn|neonatal|postnatal|developing)\b", re.IGNORECASE)
_POSITION = re.compile(r"\b(peripheral|venous|whole|left|right|upper|lower|anterior|posterior)\b", re.IGNORECASE)
_TUMOR = re.compile(
    r"(?<!non-)(?<!non )(tumou?r|cancer|malignan|neoplas|carcinoma|(?<!str)oma\b|leuk[a]?emi)", re.IGNORECASE
)
_STEM_AND_PROGENITOR = re.compile(r"\bstem\s*(?:/|\band\b|\bor\b|&)\s*progenitor", re.IGNORECASE)
_TRAILING_NUMBER = re.compile(r"[\s_-]+(type[\s_-]*)?\d{1,2}[a-z]?$", re.IGNORECASE)


def stage_names(label: str) -> Iterator[str]:
    """Yield the stage names of an age: "34 years" is the "34-year-old stage", "CS7" is "Carnegie stage 07".

    Gestational weeks start at the last menstrual period, two weeks before fertilisation.
    """
    if match := _YEARS.search(label):
        yield f"{int(match[1])}-year-old stage"
    if match := _MONTHS.search(label):
        yield f"{int(match[1])}-month-old stage"
    if match := _POST_FERTILIZATION.search(label):
        yield f"{_ordinal(int(match[1]))} week post-fertilization stage"
    elif match := _GESTATION.search(label):
        yield f"{_ordinal(int(match[1] or match[2]) - 2)} week post-fertilization stage"
    if match := _CARNEGIE.search(label):
        yield f"Carnegie stage {int(match[1]):02d}"


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def normalize_words(name: str) -> tuple[str, ...]:
    """Split a name into normalised words, in their order.

    A marker is one word with its sign ("CD8-positive", "CD8+" and "CD8" become ``cd8+``; "CD14-low" and "CD14dim" become
    ``cd14low``), adjectives of organs become nouns, and Roman numerals become Arabic.
    """
    if name.strip() not in CD_ANTIGENS:  # a gene alone names no cell type
        name = _CD_GENE.sub(lambda match: CD_ANTIGENS[match[1]], name)
    name = _GLUED_POSITIVE.sub("+ ", name)
    name = _GENE_LEVEL.sub(lambda match: match[1] + _SIGNS[match[2]] + " ", name.replace("_", " "))
    words = normalize_name(_GLUED_WORDS.sub(" ", name))
    if not words.isascii():
        words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    for phrase, replacement in _PHRASES:
        words = phrase.sub(replacement, words)
    words = _MARKER_LEVEL.sub(lambda match: match[1] + _SIGNS[match[2]], words)
    words = _BARE_MARKER.sub(r"\1+", words)
    return tuple(CANONICAL_WORDS.get(word, word) for word in words.split())


def opposite_signs(first: str, second: str) -> bool:
    """Tell whether two words are opposite signs of one marker: ``cd8+`` and ``cd8-``."""
    return first[-1:] in "+-" and second[-1:] in "+-" and first != second and first[:-1] == second[:-1]


def clean_label(value: object) -> str:
    """Clean a label: underscores and repeated white space become single spaces; a placeholder becomes "".

    Placeholders are "NA", "unknown", "Unassigned", "Node1", "Patient1-specific", bare numbers and labels that end in a
    question mark ("normal?").
    """
    if value is None or isinstance(value, float):
        return ""
    raw_label = html.unescape(str(value))
    if _MIXTURE.fullmatch(normalize_name(raw_label.split("_")[0])):
        return ""
    words = " ".join(raw_label.replace("_", " ").split())
    if words.endswith("?") or _PLACEHOLDER.fullmatch(normalize_name(words)) or not re.search(r"[^\W\d]", words):
        return ""
    return words


def label_variants(label: str) -> Iterator[str]:
    """Yield simplified forms of a label, from the full label to broader ones.

    Removed are a remark in brackets, a qualifier after an underscore ("Fibroblast_APOD high"), a running number
    ("B cell 2") and a developmental stage ("fetal pericyte"). These narrow a name, so the rest remains valid.
    """
    label = " ".join(html.unescape(label).split())
    bare_label = remove_remarks(label)
    head = bare_label.split("_")[0].strip() if re.match(r"[^_]*[A-Za-z]{3}[^_]*_", bare_label) else bare_label
    yielded: set[str] = set()
    for variant in (label, bare_label, head, _TRAILING_NUMBER.sub("", bare_label), _TRAILING_NUMBER.sub("", head)):
        for words in (variant, remove_stage(variant), _POSITION.sub(" ", remove_stage(variant))):
            cleaned = clean_label(words)
            if cleaned and cleaned not in yielded:
                yielded.add(cleaned)
                yield cleaned


def qualifier(label: str) -> str:
    """Return the qualifier after an underscore: "APOD high" of "Fibroblast_APOD high"; "" if there is none."""
    label = remove_remarks(label)
    head, _, rest = label.partition("_")
    has_separate_words = " " in label or re.search(r"[A-Z][a-z]+[A-Z]", rest)
    return rest if has_separate_words and re.search(r"[A-Za-z]{3}", head) else ""


def alternatives(label: str) -> tuple[str, ...]:
    """Split a label that names several types ("Microglia/Macrophage", "T or NK cell"); empty for a single type."""
    joined = _STEM_AND_PROGENITOR.sub("stem progenitor", remove_remarks(label))
    parts = re.split(r"\s*/\s*|\s+(?:or|and|&)\s+", joined)
    all_types = all(re.search(r"[A-Za-z]", part) and not re.fullmatch(r"CD\d+\w*[+-]?", part) for part in parts)
    return tuple(parts) if all_types and len(parts) > 1 else ()


def running_number(label: str) -> str:
    """Return the running number: "1" of "B cell 1"; "" for "B1 cell", "B-1" and "alveolar type 2"."""
    match = re.search(r"(?<!type)[\s_]+(\d{1,2})$", remove_remarks(label).strip(), re.IGNORECASE)
    return match[1] if match else ""


def capitalized_words(label: str) -> frozenset[str]:
    """Return the words in capitals or ending in capitals ("MuSC"), lower-cased: gene symbols or initials."""
    return frozenset(word.lower() for word in re.findall(r"\b[A-Z][A-Z0-9]{2,}\b|\b[A-Za-z]?[a-z]+[A-Z]+s?\b", label))


def remove_group_letter(label: str) -> str:
    """Remove the letter of a group: "Macrophages_B" becomes "Macrophages"."""
    return re.sub(r"(?<=[A-Za-z]{3})_[A-Z]$", "", label)


def open_brackets(label: str) -> str:
    """Return a label without its brackets, but with the words in them: "Goblet (nasal)" becomes "Goblet nasal"."""
    return " ".join(re.sub(r"\s*[()]\s*", " ", label).split())


def bracketed_words(label: str) -> frozenset[str]:
    """Return the words in brackets, normalised."""
    return frozenset(word for remark in re.findall(r"\(([^()]*)\)", label) for word in normalize_words(remark))


def is_tumor(label: str) -> bool:
    """Tell whether a label names a tumour; a tumour cell is not a subtype of its normal counterpart."""
    return _TUMOR.search(label) is not None


def split_camel_case(label: str) -> str:
    """Split words written together: "AdultBoneMarrow" becomes "Adult Bone Marrow"."""
    return re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", re.sub(r"(?<=[a-z])[\d-]+$", "", label.strip()))


def remove_remarks(label: str) -> str:
    """Remove remarks in brackets: "mixed (brain, skin)" becomes "mixed"."""
    return re.sub(r"\s*\([^()]*\)", "", label)


def remove_stage(label: str) -> str:
    """Remove the developmental stage: "Lung (fetal)" becomes "Lung"."""
    return " ".join(_STAGE.sub(" ", label).replace("( )", " ").split())


def find_stage(label: str) -> str:
    """Return the developmental stage in a label: "fetal" of "Lung (fetal)"; "" if there is none."""
    match = _STAGE.search(label.replace("_", " "))
    stage = match[0].lower().replace("foetal", "fetal") if match else ""
    return "" if stage == "developing" else stage


def lowercase_words(label: str) -> str:
    """Lower-case words except abbreviations: "Bone Marrow CD34P" becomes "bone marrow CD34P"."""
    return " ".join(word.lower() if word[1:].islower() else word for word in label.split())
