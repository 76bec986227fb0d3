"""Small files of foreign formats, written by hand: a PDF, Office's zips of XML, an EPUB."""

import io
import zipfile
from collections.abc import Mapping, Sequence

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/"
_TYPES = "application/vnd.openxmlformats-officedocument."


def archive(members: Mapping[str, str | bytes]) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


def pdf(pages: Sequence[Sequence[tuple[int, str]]], title: str = "") -> bytes:
    """Pages of lines of (size, text); the text in Latin letters."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    objects.append(f"<< /Title ({title}) >>".encode())
    kids = []
    for lines in pages:
        y, shown = 760, []
        for size, text in lines:
            y -= round(size * 1.5)
            shown.append(f"BT /F1 {size} Tf 60 {y} Td ({text}) Tj ET")
        stream = "\n".join(shown).encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        resources = "/Resources << /Font << /F1 3 0 R >> >>"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {resources} /Contents {len(objects)} 0 R >>"
        objects.append(page.encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return _with_table(objects)


def _with_table(objects: Sequence[bytes]) -> bytes:
    blob, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(blob))
        blob += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(blob)}\n%%EOF\n"
    return blob + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def docx(body: str, title: str = "") -> bytes:
    """A Word document with this XML in its body; paragraph() makes some."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    core = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
    return archive(
        {
            "[Content_Types].xml": _content_types({"/word/document.xml": "wordprocessingml.document.main+xml"}),
            "_rels/.rels": _relations(["officeDocument word/document.xml"]),
            "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
            "word/styles.xml": f'<w:styles xmlns:w="{word}"><w:style w:type="paragraph" w:styleId="Heading1">'
            '<w:name w:val="heading 1"/></w:style></w:styles>',
            "docProps/core.xml": f'<p:coreProperties xmlns:p="{core}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<dc:title>{title}</dc:title></p:coreProperties>",
        }
    )


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of Word."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """A workbook of text cells."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    members: dict[str, str | bytes] = {"_rels/.rels": _relations(["officeDocument xl/workbook.xml"])}
    types = {"/xl/workbook.xml": "spreadsheetml.sheet.main+xml"}
    listed = ""
    for number, (name, rows) in enumerate(sheets.items(), 1):
        cells = "".join(
            "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
        )
        place = f"xl/worksheets/sheet{number}.xml"
        members[place] = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
        types[f"/{place}"] = "spreadsheetml.worksheet+xml"
        listed += f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
    members["[Content_Types].xml"] = _content_types(types)
    members["xl/workbook.xml"] = f'<workbook xmlns="{main}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'
    members["xl/_rels/workbook.xml.rels"] = _relations(
        [f"worksheet worksheets/sheet{number}.xml" for number in range(1, len(sheets) + 1)]
    )
    return archive(members)


def pptx(slides: Sequence[Sequence[str]]) -> bytes:
    """Slides of lines of text."""
    draw = "http://schemas.openxmlformats.org/drawingml/2006/main"
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    members: dict[str, str | bytes] = {"_rels/.rels": _relations(["officeDocument ppt/presentation.xml"])}
    types = {"/ppt/presentation.xml": "presentationml.presentation.main+xml"}
    for number, lines in enumerate(slides, 1):
        shapes = "".join(
            f"<p:sp><p:txBody><a:bodyPr/><a:p><a:r><a:t>{line}</a:t></a:r></a:p></p:txBody></p:sp>" for line in lines
        )
        members[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:a="{draw}" xmlns:p="{main}"><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>'
        )
        types[f"/ppt/slides/slide{number}.xml"] = "presentationml.slide+xml"
    ids = "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in range(1, len(slides) + 1))
    members["[Content_Types].xml"] = _content_types(types)
    members["ppt/presentation.xml"] = (
        f'<p:presentation xmlns:p="{main}" xmlns:r="{_OFFICE}"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>'
    )
    members["ppt/_rels/presentation.xml.rels"] = _relations(
        [f"slide slides/slide{number}.xml" for number in range(1, len(slides) + 1)]
    )
    return archive(members)


def odt(body: str) -> bytes:
    """An OpenDocument text; the body in text:h and text:p."""
    names = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" ' + (
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    )
    content = f"<office:document-content {names}><office:body><office:text>{body}</office:text></office:body>"
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": content + "</office:document-content>",
        }
    )


def epub(title: str, chapters: Sequence[str]) -> bytes:
    """A book; the chapters in HTML."""
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "b.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for number, chapter in enumerate(chapters):
        page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{chapter}</body></html>'
        members[f"c{number}.xhtml"] = page
    return archive(members)


def _content_types(parts: Mapping[str, str]) -> str:
    overrides = "".join(f'<Override PartName="{name}" ContentType="{_TYPES}{kind}"/>' for name, kind in parts.items())
    defaults = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    return f'<Types xmlns="{_PACKAGE}content-types">{defaults}{overrides}</Types>'


def _relations(targets: Sequence[str]) -> str:
    lines = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate((text.split() for text in targets), 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}relationships">{lines}</Relationships>'
