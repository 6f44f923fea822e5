"""Find mentions of cell types, tissues, diseases and proteins in a text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from okrcell.cells.genes import GeneTable
from okrcell.descriptions.lexicon import PUNCTUATION, Mention, WordToken, normalize_words, tokenize_words, word_set
from okrcell.ontology.ontology import ontology

ADJECTIVES = {
    # places
    "adrenal": "adrenal gland", "biliary": "biliary tree", "bloodstream": "blood", "bronchial": "bronchus", "cardiac": "heart",
    "cerebellar": "cerebellum", "cerebral": "brain", "colonic": "colon", "corneal": "cornea", "cutaneous": "skin of body",
    "dermal": "dermis", "duodenal": "duodenum", "endometrial": "endometrium", "epidermal": "epidermis",
    "esophageal": "esophagus", "gastric": "stomach", "hepatic": "liver", "hypothalamic": "hypothalamus",
    "ileal": "ileum", "intestinal": "intestine", "jejunal": "jejunum", "mammary": "mammary gland",
    "marrow": "bone marrow", "nasal": "nose", "ovarian": "ovary", "pancreatic": "pancreas", "placental": "placenta",
    "prostatic": "prostate gland", "pulmonary": "lung", "rectal": "rectum", "renal": "kidney", "retinal": "retina",
    "splenic": "spleen", "testicular": "testis", "thymic": "thymus", "tonsillar": "tonsil", "tracheal": "trachea",
    "umbilical": "umbilical cord", "uterine": "uterus",
    # kinds of cells
    "astrocytic": "astrocyte", "endothelial": "endothelial cell", "epithelial": "epithelial cell",
    "erythroid": "erythroid lineage cell", "fibroblastic": "fibroblast", "glial": "glial cell",
    "granulocytic": "granulocyte", "hematopoietic": "hematopoietic cell", "lymphocytic": "lymphocyte",
    "lymphoid": "lymphocyte", "megakaryocytic": "megakaryocyte", "mesenchymal": "mesenchymal cell",
    "monocytic": "monocyte", "myeloid": "myeloid cell", "neuronal": "neuron",
}  # fmt: skip
"""Adjective: name of its tissue or cell type."""

PROTEINS = {
    "actin": "ACTB ACTA1 ACTA2 ACTG1", "adiponectin": "ADIPOQ", "albumin": "ALB", "alpha smooth muscle actin": "ACTA2",
    "androgen receptor": "AR", "glucocorticoid receptor": "NR3C1", "steroidogenic factor 1": "NR5A1",
    "thyroid transcription factor 1": "NKX2-1",
    "amylase": "AMY1A AMY2A", "aromatase": "CYP19A1", "B cell receptor": "CD79A CD79B IGHM", "blimp1": "PRDM1",
    "brain derived neurotrophic factor": "BDNF", "c kit": "KIT", "calbindin": "CALB1", "calretinin": "CALB2",
    "caspase": "CASP1 CASP3 CASP8", "catalase": "CAT", "CD11b": "ITGAM", "CD11c": "ITGAX", "CD16": "FCGR3A FCGR3B",
    "CD21": "CR2", "CD25": "IL2RA", "CD32": "FCGR2A FCGR2B", "CD42b": "GP1BA", "CD45": "PTPRC", "CD49d": "ITGA4",
    "CD49f": "ITGA6", "CD56": "NCAM1", "CD62L": "SELL", "CD64": "FCGR1A", "CD66b": "CEACAM8", "CD90": "THY1",
    "CD103": "ITGAE", "CD117": "KIT", "CD127": "IL7R", "CD140a": "PDGFRA", "CD140b": "PDGFRB", "CD235a": "GYPA",
    "immunoglobulin A": "IGHA1 IGHA2", "immunoglobulin D": "IGHD", "immunoglobulin E": "IGHE",
    "immunoglobulin G": "IGHG1 IGHG2 IGHG3 IGHG4", "immunoglobulin M": "IGHM", "IgA": "IGHA1 IGHA2", "IgD": "IGHD",
    "IgE": "IGHE", "IgG": "IGHG1 IGHG2 IGHG3 IGHG4", "IgM": "IGHM",
    "claudin": "CLDN1 CLDN4 CLDN5", "cholecystokinin": "CCK", "chromogranin A": "CHGA",
    "collagen": "COL1A1 COL1A2 COL2A1 COL3A1 COL4A1",
    "desmin": "DES", "dopamine transporter": "SLC6A3", "E cadherin": "CDH1", "elastin": "ELN",
    "epidermal growth factor": "EGF", "epidermal growth factor receptor": "EGFR", "erythropoietin": "EPO",
    "fibroblast growth factor": "FGF1 FGF2", "fibrinogen": "FGA FGB FGG", "fibronectin": "FN1", "gastrin": "GAST",
    "ghrelin": "GHRL", "glial fibrillary acidic protein": "GFAP", "glucagon": "GCG", "glycophorin A": "GYPA",
    "granulysin": "GNLY", "granzyme A": "GZMA", "granzyme B": "GZMB", "granzyme K": "GZMK",
    "growth hormone": "GH1", "hemoglobin": "HBA1 HBA2 HBB HBG1 HBG2", "hepatocyte growth factor": "HGF",
    "insulin": "INS", "insulin receptor": "INSR",
    "interferon gamma": "IFNG", "involucrin": "IVL", "keratin": "KRT5 KRT8 KRT14 KRT18", "lactoferrin": "LTF",
    "langerin": "CD207", "leptin": "LEP", "loricrin": "LORICRIN", "lysozyme": "LYZ", "melanopsin": "OPN4",
    "mesothelin": "MSLN", "MHC class I": "HLA-A HLA-B HLA-C", "MHC class II": "HLA-DRA HLA-DRB1 HLA-DPA1 HLA-DQA1",
    "MHC I": "HLA-A HLA-B HLA-C", "MHC II": "HLA-DRA HLA-DRB1 HLA-DPA1 HLA-DQA1",
    "MHCII": "HLA-DRA HLA-DRB1 HLA-DPA1 HLA-DQA1", "myelin basic protein": "MBP", "myeloperoxidase": "MPO", "myoglobin": "MB",
    "myosin": "MYH6 MYH7 MYH11", "N cadherin": "CDH2", "nerve growth factor": "NGF", "nestin": "NES",
    "neuropeptide Y": "NPY", "osteocalcin": "BGLAP", "osteopontin": "SPP1", "pancreatic polypeptide": "PPY",
    "parvalbumin": "PVALB", "pepsinogen": "PGA3 PGA4 PGC", "perforin": "PRF1", "periostin": "POSTN",
    "platelet derived growth factor": "PDGFA PDGFB", "podocin": "NPHS2", "nephrin": "NPHS1", "prolactin": "PRL",
    "reelin": "RELN", "rhodopsin": "RHO", "secretin": "SCT", "somatostatin": "SST", "survivin": "BIRC5",
    "surfactant protein A": "SFTPA1 SFTPA2", "surfactant protein B": "SFTPB", "surfactant protein C": "SFTPC",
    "surfactant protein D": "SFTPD", "synaptophysin": "SYP", "T cell receptor": "TRAC TRBC1 TRBC2 TRDC TRGC1",
    "thrombopoietin": "THPO", "thyroglobulin": "TG", "transferrin": "TF", "trypsin": "PRSS1 PRSS2",
    "trypsinogen": "PRSS1 PRSS2", "tryptase": "TPSAB1 TPSB2", "chymase": "CMA1", "tubulin": "TUBA1A TUBB TUBB3",
    "tumor necrosis factor": "TNF", "tyrosinase": "TYR", "tyrosine hydroxylase": "TH", "uromodulin": "UMOD",
    "vascular endothelial growth factor": "VEGFA", "vasoactive intestinal peptide": "VIP",
    "vasopressin": "AVP", "oxytocin": "OXT", "vimentin": "VIM", "villin": "VIL1", "von Willebrand factor": "VWF",
}  # fmt: skip
"""Protein or hormone, as named in prose: symbols of the genes that encode it."""

SMALL_MOLECULES = {
    "acetylcholine": "acetylcholine", "aldosterone": "aldosterone", "adrenaline": "adrenaline", "cortisol": "cortisol",
    "dopamine": "dopamine", "epinephrine": "adrenaline", "estradiol": "estrogen", "estrogen": "estrogen", "GABA": "GABA",
    "gamma aminobutyric acid": "GABA", "glutamate": "glutamate", "glycine": "glycine", "histamine": "histamine",
    "calcium": "calcium", "chloride": "chloride", "iron": "iron", "magnesium": "magnesium", "phosphate": "phosphate",
    "potassium": "potassium", "proton": "proton", "hydrogen ion": "proton", "sodium": "sodium", "zinc": "zinc",
    "Ca2+": "calcium", "Ca(2+)": "calcium", "Cl(-)": "chloride", "H(+)": "proton", "K(+)": "potassium", "Na+": "sodium",
    "Mg2+": "magnesium", "Mg(2+)": "magnesium", "Na(+)": "sodium", "Zn2+": "zinc", "Zn(2+)": "zinc",
    "melatonin": "melatonin", "noradrenaline": "noradrenaline", "norepinephrine": "noradrenaline",
    "progesterone": "progesterone", "serotonin": "serotonin", "testosterone": "testosterone", "thyroxine": "thyroxine",
}  # fmt: skip
"""Small molecule or ion without a gene: one canonical name for all its names."""

PROTEIN_FAMILIES = {
    "annexin": "ANXA", "aquaporin": "AQP", "caspase": "CASP", "cathepsin": "CTS", "chromogranin": "CHG",
    "claudin": "CLDN", "cyclin": "CCN", "cytokeratin": "KRT", "forkhead box": "FOX", "galectin": "LGALS",
    "glypican": "GPC", "granzyme": "GZM", "integrin alpha": "ITGA", "integrin beta": "ITGB", "interleukin": "IL",
    "keratin": "KRT", "laminin alpha": "LAMA", "matrix metalloproteinase": "MMP", "matrix metallopeptidase": "MMP",
    "mucin": "MUC", "neurexin": "NRXN", "nicotinic receptor alpha": "CHRNA", "semaphorin": "SEMA", "serpin": "SERPIN",
    "surfactant protein": "SFTP", "syndecan": "SDC", "tetraspanin": "TSPAN", "toll like receptor": "TLR",
}  # fmt: skip
"""Protein family: prefix of its gene symbols; "keratin 5" is KRT5."""

ORDINARY_WORDS = word_set(
    """
    abnormality acquired adult all animal arm back bar basal base body capsule cell comb common
    complete condition congenital corpus cortex crest depression digit disease disorder dependence disseminated
    extension face finger fistula flank foot formation fracture general genus hair hand head helix horn hypersensitivity
    idiopathic inborn individual infectious infertile inherited injury joint lamina lens life lifespan lip lobule
    localized loop male female mantle matrix membrane modifier mono musculus nail neck nose organ organism pit plate
    pole pore process projection rare region root sac section segment septum shell side simplex site sole spot stage
    sterile strip structure surface susceptibility syndrome system tail tip tissue trunk tube undifferentiated unit
    valve vessel wall wing wound zone amyloid calcification stroma lumen cavity duct cilia cilium digestive
    secondary primary nerve fiber junction spindle layer ring group population
    unknown other articular gland ganglion circulating receptor supporting resistance reaction
    """
)
"""Ontology names that are ordinary words in a sentence; alone they are no mention."""

ACRONYMS = word_set(
    """
    ADP AMP APC ATP BCR CD CNS COPD CT DAG DNA ECM EMT ER FACS FISH GC GDP GMP GO GTP HIV HLA HPA HSC II III IV IX KIR LPS
    MHC MIM MRNA MSC NA NK NKT OMIM ORF PBMC PC PCR PMID PNS RNA ROS RT SARS SMC TCR TGN TH TRIM TS UMAP USA VI VII
    VIII WD XI XII EGC
    """
)
"""Acronyms that are also gene names but nearly always mean something else."""
_GENE_LIKE_NAME = re.compile(r"(?<![^\W_])[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*")
_CD_WITH_LEVEL = re.compile(r"(CD\d+[A-Z]*)(?:high|hi|low|lo|dim|neg|pos|int|bright)")
_PHENOTYPE = re.compile(r"\b[A-Z][a-z]{2,}(?=\+|-(?:positive|negative|high|low|dim|bright)\b)")
_CODE_NAME = re.compile(r"(?=.*[A-Z])(?=.*\d)[A-Za-z0-9-]{2,}|Ig[AGMDE]\d?")
_FAMILY_NAMES = "|".join(name.replace(" ", "[ -]") for name in PROTEIN_FAMILIES)
_FAMILY_MEMBER = re.compile(rf"\b(?P<family>(?i:{_FAMILY_NAMES})s?)[ -](?P<member>\d+[A-Z]?|[A-Z]\d*)\b")
_GREEK_LETTERS = {"alpha": "A", "beta": "B", "gamma": "G", "delta": "D", "epsilon": "E"}
ONTOLOGIES = ("CL", "UBERON", "MONDO")
"""Ontologies whose terms are searched."""
NameEntry = tuple[str, Iterable[str]]
"""A name with its term ids or gene symbols."""
MAX_NAME_WORDS = 12
"""Maximum number of words of a name."""
_LOCATED_CELL = re.compile(
    rf"(?P<cell>(?:(?! of | in ).)+ (?:cell|neuron)) (?:of|in) .*|(?:{'|'.join(ADJECTIVES)}) (?P<named>\S+ (?:cell|neuron))"
)
"""A cell name qualified by a location: "chief cell of parathyroid gland", "pancreatic beta cell". Also used without the
location."""


def gene_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of gene symbols, previous symbols and aliases, and of codes that only look like genes.

    A name of letters only must be in capitals ("KIT", "MAX"), so that ordinary words ("max", "was", "Impact") are no
    genes. With a digit in it or a sign after it, case is ignored ("Cd19", "Kit-positive").
    """
    tokens = tokenize_words(text)
    for match in _FAMILY_MEMBER.finditer(text):
        family = PROTEIN_FAMILIES[" ".join(match["family"].lower().replace("-", " ").split()).removesuffix("s")]
        if (symbol := f"{family}{match['member'].upper()}") in _symbols():
            yield _gene_mention(match[0], match.start(), tokens, frozenset({_symbols()[symbol]}))
    for match in _PHENOTYPE.finditer(text):
        if match[0].upper() in _symbols():
            yield _gene_mention(match[0], match.start(), tokens, frozenset({_symbols()[match[0].upper()]}))
    for match in _GENE_LIKE_NAME.finditer(text):
        for offset, surface in _hyphen_parts(match[0]):
            symbols = gene_symbols(surface)
            if symbols or _CODE_NAME.fullmatch(surface):
                yield _gene_mention(surface, match.start() + offset, tokens, symbols)


@lru_cache(100_000)
def gene_symbols(name: str) -> frozenset[str]:
    """Return the approved symbols of a name: one, or several for a family name ("CD8", "HLA-DR")."""
    if len(name) < 3 or name in ACRONYMS or not _looks_like_symbol(name):
        return frozenset()
    spellings = tuple(_spellings(name))
    symbol = next((_symbols()[spelling] for spelling in spellings if spelling in _symbols()), None)
    if symbol in spellings:
        return frozenset({symbol})
    family = next((_families()[spelling] for spelling in spellings if _is_family_name(spelling)), frozenset[str]())
    return family | {symbol} if symbol else family


def is_gene_name(name: str) -> bool:
    """Whether the name is a symbol, previous symbol or alias of a gene, case-sensitive."""
    return name in _symbols()


def _looks_like_symbol(name: str) -> bool:
    letters = [letter for letter in name if letter.isalpha()]
    if name in ("p53", "p63", "p73"):
        return True
    if any(letter.isdigit() for letter in name):
        return bool(letters) and (letters[0].isupper() or (name in _symbols() and any(map(str.isupper, name))))
    return sum(letter.isupper() for letter in letters) >= max(2, len(letters) - 5) and name[0].isupper()


def _is_family_name(name: str) -> bool:
    return name in _families() and (any(map(str.isdigit, name)) or name.startswith("HLA-D"))


def _hyphen_parts(name: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, part) of a hyphenated name; parts that form a gene name stay together: "CD19-negative"."""
    if match := _CD_WITH_LEVEL.fullmatch(name):
        yield 0, match[1]
        return
    spans = [part_match.span() for part_match in re.finditer(r"[^-.]+", name)]
    part_index = 0
    while part_index < len(spans):
        start = spans[part_index][0]
        for part_stop in range(len(spans), part_index, -1):
            part = name[start : spans[part_stop - 1][1]]
            if part_stop == part_index + 1 or gene_symbols(part):
                yield start, part
                part_index = part_stop
                break


def _spellings(name: str) -> Iterator[str]:
    yield name
    without_hyphens = name.replace("-", "")
    for word, letter in _GREEK_LETTERS.items():
        if name.lower().endswith(f"-{word}"):
            yield name[: -len(word)].replace("-", "") + letter
    yield without_hyphens
    if any(letter.isdigit() for letter in name):
        yield name.upper()
        yield without_hyphens.upper()


@cache
def _symbols() -> dict[str, str]:
    table = GeneTable.bundled()
    aliases = {name: str(table.symbol[row]) for names in (table.alias, table.previous) for name, row in names.items()}
    return aliases | {str(symbol): str(symbol) for symbol in table.symbol}


@cache
def _families() -> dict[str, frozenset[str]]:
    """Map a symbol without its last letter (and digit) to the symbols: CD8 to CD8A and CD8B."""
    families: dict[str, set[str]] = {}
    for symbol in map(str, GeneTable.bundled().symbol):
        if member := re.fullmatch(r"(.{3,}?)[A-Z]\d?", symbol):
            families.setdefault(member[1], set()).add(symbol)
    return {name: frozenset(members) for name, members in families.items()}


def _gene_mention(surface: str, start: int, tokens: tuple[WordToken, ...], symbols: frozenset[str]) -> Mention:
    end = start + len(surface)
    indices = [index for index, word in enumerate(tokens) if word.start < end and word.end > start]
    first, stop = (indices[0], indices[-1] + 1) if indices else (0, 0)
    return Mention(surface, "gene" if symbols else "code", first, stop, symbols)


def term_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of cell types, tissues, diseases and proteins by name or synonym; the longest match wins.

    Short abbreviations and names that are ordinary words ("surface", "region") are ignored. "B and T cells" gives two
    mentions.
    """
    tokens = tokenize_words(text)
    names = _term_names()
    index = 0
    while index < len(tokens):
        for length in range(min(names.max_words.get(tokens[index].norm, 0), len(tokens) - index), 0, -1):
            stop = index + length
            key = " ".join(token.norm for token in tokens[index:stop])
            if key not in names.ids:
                continue
            surface = text[tokens[index].start : tokens[stop - 1].end]
            if key in names.exact_spellings and surface.strip() not in names.exact_spellings[key]:
                continue
            yield _term_mention(surface, index, stop, names.ids[key])
            yield from _shared_head_mentions(text, tokens, index, stop)
            index = stop - 1
            break
        index += 1


@dataclass(frozen=True)
class _TermNames:
    ids: dict[str, frozenset[str]]
    max_words: dict[str, int]
    """Number of words of the longest name that begins with a word."""
    exact_spellings: dict[str, frozenset[str]]
    """Names that match only in exactly this spelling."""


@cache
def _term_names() -> _TermNames:
    ids_by_key: dict[str, set[str]] = {}
    exact_spellings: dict[str, set[str]] = {}
    for layers in (*map(_name_layers, ONTOLOGIES), [_common_name_entries()]):
        earlier_keys: set[str] = set()
        for layer in layers:
            keys: set[str] = set()
            for name, entry_ids in layer:
                forms = _lookup_keys(name)
                if _is_abbreviation(name):
                    exact_spellings.update({key: {*exact_spellings.get(key, ()), name} for key in forms})
                for key in forms - earlier_keys:
                    ids_by_key.setdefault(key, set()).update(entry_ids)
                keys |= forms
            earlier_keys |= keys
    max_words: dict[str, int] = {}
    for key in ids_by_key:
        first_word, *rest = key.split(" ")
        max_words[first_word] = max(max_words.get(first_word, 0), 1 + len(rest))
    frozen_ids = {key: frozenset(ids) for key, ids in ids_by_key.items()}
    return _TermNames(frozen_ids, max_words, {key: frozenset(spellings) for key, spellings in exact_spellings.items()})


def _name_layers(prefix: str) -> Iterator[list[NameEntry]]:
    """Yield an ontology's names, then its synonyms, then shortened cell names; earlier layers take precedence."""
    source = ontology(prefix)
    terms = [source.term(term) for term in source.term_ids()]
    yield [(term.name, (term.id,)) for term in terms]
    human = [term for term in terms if not term.name.endswith("(Mmus)")]
    yield [(synonym, (term.id,)) for term in human for synonym in term.synonyms]
    if prefix == "CL":
        matches = [(_LOCATED_CELL.fullmatch(name), term.id) for term in human for name in (term.name, *term.synonyms)]
        shortened = [(match["cell"] or match["named"], (term,)) for match, term in matches if match]
        neurons = [
            (f"{term.name.removesuffix('neuron')}cell", (term.id,)) for term in human if term.name[-6:] == "neuron"
        ]
        yield [*shortened, *neurons]


def _common_name_entries() -> list[NameEntry]:
    adjectives = (
        (adjective, ontology("UBERON").find_exact(name) or ontology("CL").find_exact(name))
        for adjective, name in ADJECTIVES.items()
    )
    molecules = ((name, names.split()) for name, names in (*PROTEINS.items(), *SMALL_MOLECULES.items()))
    return [*((adjective, (term.id,)) for adjective, term in adjectives if term is not None), *molecules]


def _lookup_keys(name: str) -> set[str]:
    """Return the lookup keys of a name, with and without its commas; empty for a name that is not searched."""
    if name[:2] == "A ":  # "A cell" of the pancreas begins like any sentence about a cell
        return set()
    if _is_abbreviation(name) and (len(name) < 3 or (is_gene_name(name) and name not in ACRONYMS)):
        return set()
    tokens = normalize_words(name)
    without_punctuation = " ".join(token for token in tokens if token not in PUNCTUATION)
    if (
        not 0 < len(tokens) <= MAX_NAME_WORDS
        or len(without_punctuation) < 3
        or without_punctuation in ORDINARY_WORDS
        or without_punctuation.isdigit()
    ):
        return set()
    return {" ".join(tokens), without_punctuation}


def _is_abbreviation(name: str) -> bool:
    return " " not in name and (len(name) < 4 or any(letter.isupper() for letter in name[1:]))


def _term_mention(surface: str, start: int, stop: int, ids: frozenset[str]) -> Mention:
    terms = frozenset(entity_id for entity_id in ids if ":" in entity_id)
    return Mention(surface, "term" if terms or not ids else "gene", start, stop, terms or ids)


def _shared_head_mentions(text: str, tokens: Sequence[WordToken], start: int, stop: int) -> Iterator[Mention]:
    """Yield "B" of "B and T cells": mentions that share the head noun of a mention."""
    if stop - start < 2:
        return
    head = " ".join(token.norm for token in tokens[start + 1 : stop])
    index = start
    while index >= 2 and tokens[index - 1].norm in ("and", "or", ","):
        index -= 1
        while index > 0 and tokens[index - 1].norm == ",":
            index -= 1
        index -= 1
        ids = _term_names().ids.get(f"{tokens[index].norm} {head}") if index >= 0 else None
        if ids is None:
            return
        yield _term_mention(text[tokens[index].start : tokens[index].end], index, index + 1, ids)
