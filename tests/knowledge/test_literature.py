"""Literature: passages of whole sentences, safe XML, one-line errors for bad files."""

import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.errors import InputError
from okrcell.evidence import split_sentences
from okrcell.knowledge import downloads as snapshots
from okrcell.knowledge.literature import (
    LiteratureSource,
    PassageSettings,
    count_tokens,
    find_cell_types,
    split_passages,
)
from okrcell.provenance import fingerprint

ARTICLE = """
<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{pmid}</PMID>
  <Article><Journal><ISSN>1</ISSN><Title>The Journal of Cells</Title><ISOAbbreviation>J Cells</ISOAbbreviation></Journal>
    <ArticleTitle>What <i>B cells</i> do.</ArticleTitle>
    <Abstract><AbstractText Label="BACKGROUND">B cells make antibodies &amp; more.</AbstractText>
      <AbstractText>CD8<sup>+</sup> T cells kill.</AbstractText>
      <CopyrightInformation>CC BY 4.0</CopyrightInformation></Abstract></Article>
  <OtherAbstract><AbstractText>Les cellules B.</AbstractText></OtherAbstract>
  <CommentsCorrectionsList><CommentsCorrections><PMID>999</PMID></CommentsCorrections></CommentsCorrectionsList>
</MedlineCitation><PubmedData><ReferenceList><Reference><ArticleIdList><ArticleId IdType="pubmed">998</ArticleId>
</ArticleIdList></Reference></ReferenceList></PubmedData></PubmedArticle>"""
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2019//EN" "https://dtd.nlm.nih.gov/x.dtd">
"""


def xml(*pmids, head=HEAD):
    return f"{head}<PubmedArticleSet>{''.join(ARTICLE.format(pmid=pmid) for pmid in pmids)}</PubmedArticleSet>"


sentences = st.lists(
    st.integers(1, 12).map(lambda words: " ".join(["Cells", *["divide"] * (words - 1)]) + "."), min_size=1, max_size=40
)
settings = st.builds(PassageSettings, length=st.integers(1, 40), overlap=st.integers(0, 20))


@given(sentences, settings)
def test_passages_hold_every_sentence_whole_and_in_order(text, settings):
    numbered = [sentence[:-1] + f" {number}." for number, sentence in enumerate(text)]
    passages = split_passages(" ".join(numbered), settings)
    places = [[numbered.index(sentence) for sentence in split_sentences(passage)] for passage in passages]
    assert sorted({place for passage in places for place in passage}) == list(range(len(numbered)))
    for passage in places:
        assert passage == list(range(passage[0], passage[-1] + 1))
    assert all(one[-1] < other[-1] for one, other in pairwise(places))


@given(sentences, settings)
def test_passages_keep_their_length_and_overlap(text, settings):
    numbered = [sentence[:-1] + f" {number}." for number, sentence in enumerate(text)]
    passages = split_passages(" ".join(numbered), settings)
    for passage in passages:
        assert count_tokens(passage) <= settings.length or len(split_sentences(passage)) == 1
    for one, other in pairwise(passages):
        shared = [sentence for sentence in split_sentences(other) if sentence in split_sentences(one)]
        assert sum(map(count_tokens, shared)) <= settings.overlap


@given(st.text(alphabet="Ab1.!? ()\n'\"", max_size=80))
def test_cutting_into_sentences_loses_no_letter(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_an_abbreviation_ends_no_sentence():
    text = "Markers (e.g. CD19) are known. See Smith et al. 2018 and E. coli. Is that all? Yes, vs. None."
    assert split_sentences(text) == (
        "Markers (e.g. CD19) are known.",
        "See Smith et al. 2018 and E. coli.",
        "Is that all?",
        "Yes, vs. None.",
    )


@pytest.mark.parametrize("packed", [False, True])
def test_pubmed_xml_gives_title_labels_journal_and_licence(tmp_path, packed):
    file = tmp_path / ("pubmed.xml.gz" if packed else "pubmed.xml")
    file.write_bytes(gzip.compress(xml(1, 2).encode()) if packed else xml(1, 2).encode())
    one, other = LiteratureSource(file).passages()
    assert one.text == "What B cells do. BACKGROUND: B cells make antibodies & more. CD8+ T cells kill."
    assert (one.source, one.record, one.licence, one.aspect) == ("J Cells", "PMID:1", "CC BY 4.0", "passage")
    assert other.record == "PMID:2"
    assert file.name in one.snapshot
    assert one.terms[0] == "CL:0000236"


def test_a_retracted_paper_is_not_quoted(tmp_path):
    types = "<PublicationTypeList><PublicationType>Retracted Publication</PublicationType></PublicationTypeList>"
    retracted = ARTICLE.format(pmid=3).replace("</Article>", f"{types}</Article>")
    (tmp_path / "pubmed.xml").write_text(xml(1).replace("<PubmedArticleSet>", f"<PubmedArticleSet>{retracted}"))
    assert [passage.record for passage in LiteratureSource(tmp_path / "pubmed.xml").passages()] == ["PMID:1"]


def test_a_doctype_with_entities_is_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    (tmp_path / "bomb.xml").write_text(xml(1, head=bomb))
    with pytest.raises(InputError, match=r"bomb\.xml declares the XML entity 'a'"):
        list(LiteratureSource(tmp_path / "bomb.xml").passages())


def test_no_other_file_is_read_through_an_entity(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    text = xml(1, head=f'<!DOCTYPE x [<!ENTITY other SYSTEM "file://{tmp_path}/secret.txt">]>')
    (tmp_path / "nosy.xml").write_text(text.replace("CD8", "&other;"))
    with pytest.raises(InputError, match="entity 'other'"):
        list(LiteratureSource(tmp_path / "nosy.xml").passages())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.xml", xml(1)[:700].encode(), "not well-formed XML"),
        ("cut.xml.gz", gzip.compress(xml(1).encode())[:200], "truncated"),
        ("odd.xml", b'<?xml version="1.0" encoding="shift_jis"?><a/>', "not well-formed XML"),
        ("page.xml", b"<html><body>Not found</body></html>", "no PubmedArticle"),
        (
            "lines.jsonl",
            b'{"pmid": 1, "abstract": "A."}\n{"pmid": 2, "abst',
            "Line 2 of .*lines.jsonl is not valid JSON",
        ),
        ("lines.jsonl", b'{"title": "T", "abstract": "A."}\n', "Line 1 of .* has no pmid and no id"),
        ("lines.jsonl", b"[1]\n", "must be a JSON object"),
        ("list.json", b'{"pmid": 1}', "must contain a JSON list"),
        ("list.json", b"\xff\xfe", "not valid JSON"),
        ("words.txt", b"some words", "its name must end in"),
    ],
)
def test_bad_literature_is_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        list(LiteratureSource(tmp_path / name).passages())
    assert "\n" not in str(error.value)


def test_a_folder_is_read_in_order_and_a_paper_counts_once(tmp_path):
    lines = [
        {"pmid": 7, "title": "Seven.", "abstract": "B cells.", "journal": "J Seven"},
        {"pmid": 1, "text": "Again."},
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "a.xml").write_text(xml(1))
    (tmp_path / "notes.txt").write_text("not read")
    first, second = LiteratureSource(tmp_path).passages()
    assert [first.record, second.record] == ["PMID:1", "PMID:7"]
    assert (second.text, second.source) == ("Seven. B cells.", "J Seven")


def test_an_empty_folder_or_none_is_told(tmp_path):
    with pytest.raises(InputError, match="has no literature"):
        LiteratureSource(tmp_path)
    with pytest.raises(InputError, match="There is no literature at"):
        LiteratureSource(tmp_path / "nowhere")


def test_the_longest_name_of_a_cell_type_counts():
    assert find_cell_types("Memory B-cells and regulatory T cells, not cells or the lung.") == (
        "CL:0000787",
        "CL:0000815",
    )
    assert find_cell_types("A cell.") == ()


def test_the_real_corpus_is_read_whole(shared_knowledge):
    passages = list(LiteratureSource(shared_knowledge / "pubmedqa_labeled_1k.json.gz").passages())
    assert len({passage.record for passage in passages}) == 1000
    assert len(passages) > 1000


def test_literature_without_an_abstract_is_told_with_its_place(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"pmid": "1", "title": "No abstract"}\n')
    with pytest.raises(InputError, match="contains no abstract") as error:
        list(LiteratureSource(tmp_path).passages())
    assert str(tmp_path) in str(error.value)


def test_a_file_is_read_for_its_fingerprint_once_and_again_after_a_change(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(snapshots, "fingerprint", lambda path: read.append(path) or fingerprint(path))
    file = tmp_path / "mine.jsonl"
    file.write_text('{"pmid": "1", "abstract": "B cells."}\n')
    source = LiteratureSource(file)
    first = {source.snapshot for _ in range(3)}
    assert len(first) == len(read) == 1
    file.write_text('{"pmid": "1", "abstract": "T cells kill."}\n')
    assert source.snapshot not in first
    assert len(read) == 2
