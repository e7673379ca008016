"""Croissant metadata of a data version: its tables, their columns and digests as JSON-LD, which dataset search engines read.

Format: MLCommons, Croissant Format Specification 1.0 (2024), http://mlcommons.org/croissant/1.0.
"""

from base64 import urlsafe_b64encode
from pathlib import Path

import polars as pl

from fmcycle.artifact import folder as artifact

CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "citeAs": "cr:citeAs", "column": "cr:column",
    "equivalentProperty": "cr:equivalentProperty", "samplingRate": "cr:samplingRate",
    "conformsTo": "dct:conformsTo", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
TYPES: dict = {
    pl.Boolean: "sc:Boolean",
    pl.Binary: "sc:Text",
    pl.String: "sc:Text",
    pl.Date: "sc:Date",
    pl.Datetime: "sc:Date",
}
SAYS = {
    "documents": "texts to train on",
    "dropped": "texts that curation took out, each with its reason",
    "instructions": "conversations to learn answers from",
    "preferences": "pairs of answers, one preferred",
    "prompts": "requests to test safety with",
    "examples": "pictures and sound with what is said of them",
}


def describe(folder: str | Path, *, name: str = "curated") -> dict:
    """The metadata of the Parquet tables in `folder`, a pure function of their content, whose digest is the identifier.

    Creators are the sources; licences are those of all rows. datePublished is the latest time of a row, left out if no row has one.
    The format wants the address of the dataset's page as `url`; the tables have no page, so it is the name of their content (RFC 6920).
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.parquet"))
    kept = [file for file in files if file.stem != "dropped"]
    digests = {file.name: artifact.sha256(file) for file in files}
    times = [time for file in kept if (time := latest(file))]
    sources = sorted({source for file in kept for source in distinct(file, "source")})
    digest = artifact.digest_of(digests)
    rows = {file.stem: pl.scan_parquet(file).select(pl.len()).collect().item() for file in files}
    found = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": ", ".join(f"{count} {table}" for table, count in rows.items()) + f"; from {', '.join(sources)}",
        "version": "1.0.0",
        "identifier": f"sha256:{digest}",
        "url": f"ni:///sha-256;{urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip('=')}",
        "license": sorted({licence for file in kept for licence in distinct(file, "licence")}),
        "creator": [{"@type": "sc:Organization", "name": source} for source in sources],
        "distribution": [file_object(file, digests[file.name]) for file in files],
        "recordSet": [record_set(file) for file in files],
    }
    return found | ({"datePublished": max(times)[:10]} if times else {})


def latest(file: Path) -> str | None:
    """The latest value of the column `time` that begins with a date; None if there is none."""
    frame = pl.scan_parquet(file)
    if "time" not in frame.collect_schema().names():
        return None
    time = pl.col("time")
    return frame.select(time.filter(time.str.contains(r"^\d{4}-\d\d-\d\d")).max()).collect(engine="streaming").item()


def distinct(file: Path, column: str) -> list[str]:
    """The distinct values of a column except "", sorted; [] if the table lacks the column."""
    frame = pl.scan_parquet(file)
    if column not in frame.collect_schema().names():
        return []
    return [value for value in frame.select(pl.col(column).unique()).collect(engine="streaming")[column].sort() if value]


def file_object(file: Path, digest: str) -> dict:
    """The FileObject of a table."""
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest,
    }


def record_set(file: Path) -> dict:
    """The RecordSet of a table: its columns."""
    schema = pl.read_parquet_schema(file)
    fields = [field(file, f"{file.stem}/{column}", dtype, {"column": column}) for column, dtype in schema.items()]
    found = {"@type": "cr:RecordSet", "@id": file.stem, "name": file.stem, "description": SAYS.get(file.stem, file.stem), "field": fields}
    return found | ({"key": {"@id": f"{file.stem}/id"}} if "id" in schema else {})


def field(file: Path, name: str, dtype: pl.DataType, extract: dict, path: str | None = None) -> dict:
    """The Field of a column, or of the struct field `path` inside its values."""
    repeated = isinstance(dtype, pl.List)
    inner = dtype.inner if isinstance(dtype, pl.List) else dtype
    found: dict = {"@type": "cr:Field", "@id": name, "name": name.rpartition("/")[2]}
    found["source"] = {"fileObject": {"@id": file.name}, "extract": extract} | ({"transform": {"jsonPath": path}} if path else {})
    if repeated:
        found["repeated"] = True
    if isinstance(inner, pl.Struct):
        found["subField"] = [field(file, f"{name}/{part.name}", part.dtype, extract, part.name) for part in inner.fields]  # type: ignore[arg-type]
    else:
        found["dataType"] = TYPES.get(inner.base_type()) or ("sc:Float" if inner.is_float() else "sc:Integer")
    return found
