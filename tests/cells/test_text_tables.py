"""Text tables are read by their true columns, or refused in one line."""

import gzip

import numpy as np
import pandas as pd
import pytest

from okrcell.cells.expression import read_expression
from okrcell.cells.findings import read_findings
from okrcell.cells.io import open_cells
from okrcell.errors import InputError

GENES = ["CD3D", "LYZ", "MS4A1", "NKG7", "GNLY"]
CELLS = ["AAAC-1", "AAAG-1", "AAAT-1"]
COUNTS = np.array([[1, 0, 2, 0, 5], [0, 3, 0, 0, 0], [0, 0, 7, 1, 0]], dtype=np.float32)
FRAME = pd.DataFrame(COUNTS.astype(int), index=CELLS, columns=GENES)


@pytest.fixture
def opened(tmp_path):
    """Write a text and open it."""

    def write(text, name="cells.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return open_cells(path)

    return write


def refused(opened, text, match, **kwargs):
    with pytest.raises(InputError, match=match) as caught:
        opened(text, **kwargs)
    assert "\n" not in str(caught.value)


def same(adata, cells=CELLS, genes=GENES, counts=COUNTS):
    assert list(adata.obs_names) == list(cells)
    assert list(adata.var_names) == list(genes)
    assert np.array_equal(adata.X.toarray(), counts)


def test_commas_in_quoted_cell_names_shift_nothing(opened):
    cells = ["CD4-positive, alpha-beta T cell.0", "B, mature", "AAAT-1"]
    same(opened(FRAME.set_axis(cells).T.to_csv()), cells)
    same(opened(FRAME.set_axis(cells).to_csv()), cells)


def test_commas_in_quoted_gene_names_shift_nothing(opened):
    genes = ["MIR1302-10,MIR1302-2", *GENES[1:]]
    same(opened(FRAME.set_axis(genes, axis=1).T.to_csv()), genes=genes)
    same(opened(FRAME.set_axis(genes, axis=1).to_csv()), genes=genes)


def test_commas_in_names_of_label_columns_shift_nothing(opened):
    frame = FRAME.copy()
    frame.insert(0, "type, by authors", ["T, naive", "B", "NK"])
    adata = opened(frame.to_csv())
    same(adata)
    assert list(adata.obs["type, by authors"]) == ["T, naive", "B", "NK"]


def test_names_with_commas_in_a_tsv_are_no_separators(opened):
    cells = ["a,b,c,d", "e,f,g,h", "i,j,k,l"]
    same(opened(FRAME.set_axis(cells).T.to_csv(sep="\t"), name="cells.tsv"), cells)


@pytest.mark.parametrize("turned", [False, True])
def test_comment_lines_before_the_header_are_left_out(opened, turned):
    text = (FRAME.T if turned else FRAME).to_csv()
    adata = opened(f"####################\n## BD Rhapsody, version 1.8\n\n####################\n{text}")
    same(adata)
    assert "4 lines of comments before the header were left out" in read_findings(adata)


def test_a_header_that_begins_with_a_hash_is_the_header(opened):
    same(opened("#" + FRAME.to_csv(index_label="barcode")))


def test_hashes_within_names_are_no_comments(opened):
    cells = ["sample#1", "sample#2", "#3"]
    same(opened(FRAME.set_axis(cells).to_csv(index_label="cell")), cells)


def test_a_second_header_row_is_read_as_labels(opened):
    header, rest = FRAME.T.to_csv(index_label="gene").split("\n", 1)
    adata = opened(f'{header}\ncluster,T cell,"B, mature",NK\n{rest}')
    same(adata)
    assert list(adata.obs["cluster"]) == ["T cell", "B, mature", "NK"]
    assert any("cluster" in finding for finding in read_findings(adata))
    adata = opened(f"cell,{','.join(GENES)}\nid,ENSG1,ENSG2,ENSG3,ENSG4,ENSG5\n" + FRAME.to_csv(header=False))
    same(adata)
    assert list(adata.var["id"]) == ["ENSG1", "ENSG2", "ENSG3", "ENSG4", "ENSG5"]


def test_words_in_a_later_row_are_refused_with_their_line(opened):
    refused(opened, FRAME.T.to_csv() + "cluster,T,B,NK\n", r"line 7 \(cluster\) holds 'T'")


@pytest.mark.parametrize("blank", ["", "NA"])
def test_blanks_of_a_table_without_zeros_are_zeros(opened, blank):
    adata = opened(FRAME.T.astype(object).where(FRAME.T > 0, blank).to_csv())
    same(adata)
    assert adata.X.nnz == 6
    assert "9 blank values were read as zero, because the table holds no zeros" in read_findings(adata)


def test_blanks_beside_zeros_are_not_measured(opened):
    frame = FRAME.astype(object)
    frame.iloc[1, 0] = ""
    adata = opened(frame.to_csv())
    assert np.isnan(adata.X.toarray()[1, 0])
    assert np.isnan(adata.X.toarray()).sum() == 1
    assert "1 blank values were read as not measured" in read_findings(adata)


def test_a_zero_far_below_blanks_makes_them_not_measured(opened, monkeypatch):
    monkeypatch.setattr("okrcell.cells.text_tables.BLOCK_SIZE", 100)
    rows = "".join(f"c{number},1,,,2,3\n" for number in range(500))
    adata = opened(f"cell,{','.join(GENES)}\n{rows}last,0,0,0,0,0\n")
    assert np.isnan(adata.X.toarray()).sum() == 1000
    assert adata.n_obs == 501


def test_decimal_commas_are_read(opened):
    frame = FRAME / 4
    text = frame.to_csv(sep=";", decimal=",")
    adata = opened(text)
    same(adata, counts=COUNTS / 4)
    assert "decimal commas were read as decimal points" in read_findings(adata)
    whole = "".join(f"d{number};0;0;0;0;0\n" for number in range(100))
    header, rest = text.split("\n", 1)
    late = opened(f"{header}\n{whole}{rest}")
    assert np.array_equal(late.X.toarray()[100:], COUNTS / 4)


def test_decimal_commas_that_may_be_thousands_are_refused(opened):
    refused(opened, "cell;CD3D;LYZ\na;1,234;0\nb;2,500;0\n", "decimal comma or a mark of thousands")
    refused(opened, "cell,CD3D,LYZ\na,1,234,0\nb,2,500,0\n", "3 names in its header, but 4|line 2 has 4 fields")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings_of_excel_are_read(opened, encoding):
    cells = ["Zürich", "Orléans", "AAAT-1"]
    adata = opened(FRAME.set_axis(cells).to_csv(sep="\t", index_label="cell"), name="cells.txt", encoding=encoding)
    same(adata, cells)
    assert bool(read_findings(adata)) == (encoding == "latin-1")


def test_a_letter_of_latin_1_far_below_is_read(opened):
    rows = "".join(f"c{number},1,0,0,2,3\n" for number in range(100))
    adata = opened(f"cell,{','.join(GENES)}\n{rows}Orléans,1,2,3,4,5\n", encoding="latin-1")
    assert adata.obs_names[-1] == "Orléans"


def test_columns_of_featurecounts_are_no_cells(opened):
    frame = FRAME.T.copy()
    for name, values in (("Length", 1500), ("Strand", "+"), ("End", 100001500), ("Start", 100000001)):
        frame.insert(0, name, values)
    frame.insert(0, "Chr", [1, 2, "X", 4, "MT"])
    text = '# Program:featureCounts v2.0.1; Command:"featureCounts" "-T" "8"\n' + frame.to_csv(
        sep="\t", index_label="Geneid"
    )
    adata = opened(text, name="counts.tsv")
    same(adata)
    assert list(adata.var.columns) == ["Chr", "Start", "End", "Strand", "Length"]
    assert adata.var["Start"].tolist() == [100000001] * 5
    same(opened(FRAME.T.assign(Length=1500).to_csv()))


def test_a_label_column_of_numbers_and_words_is_a_label(opened):
    rows = "".join(f"d{number},7,1,0,0,2,3\n" for number in range(100))
    text = f"cell,group,{','.join(GENES)}\n{rows}a,unassigned,1,0,0,2,3\nb,,1,0,0,2,3\n"
    adata = opened(text)
    assert adata.shape == (102, 5)
    assert adata.obs["group"].iloc[0] == "7"
    assert adata.obs["group"].iloc[100] == "unassigned"
    assert adata.obs["group"].isna().sum() == 1


def test_a_word_among_the_numbers_of_a_cell_or_gene_is_refused(opened):
    frame = FRAME.T.astype(object)
    frame.iloc[3, 1] = "#REF!"
    refused(opened, frame.to_csv(), "column 'AAAG-1'.*'#REF!'")
    refused(opened, frame.T.to_csv(), "column 'NKG7'.*'#REF!'")


def test_a_name_too_many_or_too_few_is_refused(opened):
    header, rest = FRAME.T.to_csv(index_label="gene").split("\n", 1)
    refused(opened, f"{header},c4\n{rest}", "5 names in its header, but 4 fields")
    refused(opened, f"gene,c1\n{rest}", "2 names in its header, but 4 fields")


def test_a_row_of_another_length_is_refused(opened):
    rows = "".join(f"d{number},1,0,0,2,3\n" for number in range(100))
    for row, length in (("a,1,0,0,2", 5), ("a,1,0,0,2,3,9", 7)):
        refused(opened, f"cell,{','.join(GENES)}\n{rows}{row}\n", f"line 102 has {length} fields")


def test_separators_after_the_last_field_add_no_cell(opened):
    header, *rows = FRAME.T.to_csv(index_label="gene").splitlines()
    for start in (header, header + ","):
        same(opened("\n".join([start, *(f"{row}," for row in rows)]) + "\n"))
    same(opened("\n".join([header + ",", *rows]) + "\n"))
    same(opened("\n".join([header, *rows, ",,,", ",,,"]) + "\n"))


def test_a_missing_corner_beside_blank_last_values_is_refused(opened):
    refused(opened, "AAAC-1,AAAG-1,AAAT-1\nCD3D,1,,\nLYZ,,2,\n", "3 names in its header, but 4 fields")


def test_tables_of_r_open(opened):
    lines = [
        '"AAAC-1" "AAAG-1" "AAAT-1"',
        *(f'"{gene}" {a} {b} {c}' for gene, (a, b, c) in zip(GENES, COUNTS.T, strict=True)),
    ]
    same(opened("\n".join(lines), name="cells.txt"))
    same(opened(FRAME.T.to_csv(quoting=1)))


def test_gene_names_beside_row_numbers_are_found(opened):
    adata = opened(FRAME.T.reset_index(names="gene").to_csv())
    same(adata)


def test_repeated_label_columns_are_numbered(opened):
    text = "cell,type,type,CD3D,LYZ\na,T,naive,1,0\nb,B,mature,2,0\n"
    assert list(opened(text).obs.columns) == ["type", "type.1"]


def test_a_gzipped_table_is_known_by_its_contents(opened):
    same(opened(gzip.compress(FRAME.to_csv().encode())))
    same(opened(FRAME.to_csv(), name="cells.csv.gz"))


def test_a_table_of_bytes_is_no_text(opened):
    refused(opened, b"a,b,c\n1,2,\0\0\0\0\1\n", "not text")


def test_genes_of_a_mouse_in_rows_are_turned(opened):
    genes = ["ENSMUSG00000032094", "ENSMUSG00000069516", "ENSMUSG00000024673"]
    adata = opened(FRAME.iloc[:, :3].set_axis(genes, axis=1).T.to_csv())
    assert list(adata.var_names) == genes


def test_wide_and_long_tables_keep_their_values(opened):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, (700, 300))
    frame = pd.DataFrame(counts, index=[f"cell-{number}" for number in range(700)])
    frame.columns = [*GENES, *(f"gene{number}" for number in range(295))]
    for text in (frame.to_csv(), frame.T.to_csv()):
        same(opened(text), frame.index, frame.columns, counts)


def test_a_table_without_names_of_cells_is_refused(opened):
    refused(opened, FRAME.to_csv(index=False), "first column, but that column is the gene CD3D")


def test_a_column_of_totals_is_no_cell(opened):
    adata = opened(FRAME.T.assign(Total=FRAME.sum()).to_csv())
    same(adata)
    assert "columns read as var: Total" in read_findings(adata)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems_are_read(opened, end):
    same(opened(FRAME.T.to_csv().replace("\n", end)))
    same(
        opened(
            f"# a comment{end}gene,{','.join(CELLS)}{end}type,T,B,NK{end}"
            + FRAME.T.to_csv(header=False).replace("\n", end)
        )
    )


def test_a_line_break_in_a_quoted_label_is_read(opened):
    adata = opened('cell,type,CD3D,LYZ\na,"T\ncell",1,0\nb,B,0,2\n')
    assert adata.obs["type"].tolist() == ["T\ncell", "B"]


def test_infinite_values_are_kept_for_the_check_of_values(opened):
    assert np.isinf(opened("cell,CD3D,LYZ\na,Inf,1\nb,0,2\n").X.toarray()[0, 0])


def test_marks_of_thousands_drop_no_cell(opened):
    refused(opened, 'gene,AAAC-1,AAAG-1\nCD3D,"1,234",0\nLYZ,5,3\n', "column 'AAAC-1'.*'1,234'")
    refused(opened, 'gene,AAAC-1,AAAG-1\nCD3D,"1,234",0\nLYZ,"5,000",3\n', "column 'AAAC-1'.*'1,234'")


def test_a_second_column_of_names_without_a_header_is_kept(opened):
    adata = opened(",,AAAC-1,AAAG-1\nENSG00000167286,CD3D,1,0\nENSG00000090382,LYZ,0,3\n")
    assert adata.var["unnamed"].tolist() == ["CD3D", "LYZ"]
    assert adata.shape == (2, 2)


def test_a_header_without_rows_is_refused(opened):
    refused(opened, "gene,a,b\n", "only one line")


def test_names_of_rhapsody_panels_are_read_by_their_symbols(opened):
    names = ["CD3D|NM_000732.4|PolyA_1", "LYZ|NM_000239.2|Reference_end", "CD103|ITGAE|AHS0001|pAbO"]
    adata = opened("## BD Rhapsody\n" + FRAME.iloc[:, :3].set_axis(names, axis=1).set_axis([1, 2, 3]).to_csv())
    assert list(adata.var_names) == names
    assert list(adata.var["gene_symbol"]) == ["CD3D", "LYZ", "CD103"]
    assert list(adata.var["feature_types"]) == ["Gene Expression", "Gene Expression", "Antibody Capture"]
    assert read_expression(adata).resolution.coverage == 1


@pytest.mark.parametrize("style", ["GRCh38_{}", "'{}'", "hg38.{}"])
def test_genes_in_rows_are_known_by_names_with_a_prefix_or_quotes(opened, style):
    genes = [style.format(gene) for gene in GENES]
    assert list(opened(FRAME.set_axis(genes, axis=1).T.to_csv()).obs_names) == CELLS


def test_genes_of_a_zebrafish_in_rows_are_turned(opened):
    genes = [f"ENSDARG{number:011d}" for number in range(5)]
    assert list(opened(FRAME.set_axis(genes, axis=1).T.to_csv()).obs_names) == CELLS


def test_a_quote_that_does_not_end_is_refused(opened):
    rows = "".join(f"c{number},note,1,0,0,2,3\n" for number in range(20_000))
    refused(opened, f'cell,note,{",".join(GENES)}\na,"open,1,0,0,2,3\n{rows}', "quote does not end|fields")


def test_a_quoted_label_of_many_lines_is_read(opened):
    note = '"' + "\n".join(map(str, range(60))) + '"'
    adata = opened(f"cell,note,CD3D,LYZ\na,short,1,0\nb,{note},0,2\n")
    assert adata.obs_names.tolist() == ["a", "b"]
    assert adata.X.toarray().tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize("columns", [["gene", "cell", "count"], ["cell", "gene", "count"]])
def test_a_long_table_is_refused(opened, columns):
    long = FRAME.rename_axis("cell").rename_axis("gene", axis=1).stack().rename("count").reset_index()
    refused(opened, long[columns].to_csv(index=False), "a row for each gene of each cell")


def test_two_levels_of_names_as_pandas_writes_them_are_read(opened):
    levels = pd.MultiIndex.from_arrays([GENES, ["T", "M", "B", "NK", "NK"]], names=["gene", "marker of"])
    frame = FRAME.set_axis(levels, axis=1).rename_axis("cell")
    adata = opened(frame.to_csv())
    same(adata)
    assert list(adata.var.iloc[:, 0]) == ["T", "M", "B", "NK", "NK"]


def test_the_line_that_tells_excel_the_separator_is_left_out(opened):
    same(opened("sep=;\n" + FRAME.to_csv(sep=";")))
