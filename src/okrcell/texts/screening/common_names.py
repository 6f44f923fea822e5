"""Common names of tissues, cell types, proteins and small molecules; ambiguous words and acronyms."""

from okrcell.descriptions.lexicon import word_set

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
