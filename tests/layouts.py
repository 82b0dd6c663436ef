"""One small collection, written in every layout that is read."""

import json

import ir_datasets

from peftir.data.collection import SPLITS

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
DOCUMENTS = [(f"d{n}", f"Wing {n}", f"Lift & drag of wing {n}: 翼 ½ < 1.") for n in range(12)]
QUERIES = {
    "train": {f"q{n}": f"what lifts wing {n}" for n in range(20)},
    "dev": {f"q{n}": f"what lifts wing {n}" for n in range(20, 24)},
    "test": {f"q{n}": f"what drags wing {n}" for n in range(24, 29)},
}
QRELS = {
    split: {query: {f"d{int(query[1:]) % 12}": 1, "d3": 2} for query in texts}
    for split, texts in QUERIES.items()
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def trec_qrels(grades, separator=" "):
    rows = [(q, "0", d, str(grade)) for q, documents in grades.items() for d, grade in documents.items()]
    return "".join(separator.join(row) + "\n" for row in rows)


def tsv(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def as_beir(folder, splits=SPLITS):
    write(folder / "corpus.jsonl", jsonl({"_id": i, "title": t, "text": x} for i, t, x in DOCUMENTS))
    queries = [{"_id": id, "text": text} for split in splits for id, text in QUERIES[split].items()]
    write(folder / "queries.jsonl", jsonl(queries))
    for split in splits:
        rows = [(q, d, str(g)) for q, grades in QRELS[split].items() for d, g in grades.items()]
        write(folder / "qrels" / f"{split}.tsv", tsv([("query-id", "corpus-id", "score"), *rows]))
    return f"beir:{folder}"


def as_documents_of_msmarco(folder, splits=SPLITS):
    write(folder / "msmarco-docs.tsv", tsv((i, f"https://{i}", t, x) for i, t, x in DOCUMENTS))
    names = {
        "train": ("msmarco-doctrain-queries.tsv", "msmarco-doctrain-qrels.tsv"),
        "dev": ("msmarco-docdev-queries.tsv", "msmarco-docdev-qrels.tsv"),
        "test": ("msmarco-test2019-queries.tsv", "2019qrels-docs.txt"),
    }
    for split in splits:
        write(folder / names[split][0], tsv(QUERIES[split].items()))
        write(folder / names[split][1], trec_qrels(QRELS[split]))
    return f"msmarco-doc:{folder}"


def as_passages_of_msmarco(folder, splits=SPLITS):
    write(folder / "collection.tsv", tsv((i, f"{t} {x}") for i, t, x in DOCUMENTS))
    names = {"train": "train", "dev": "dev.small", "test": "test"}
    for split in splits:
        write(folder / f"queries.{names[split]}.tsv", tsv(QUERIES[split].items()))
        write(folder / f"qrels.{names[split]}.tsv", trec_qrels(QRELS[split], "\t"))
    return f"msmarco-passage:{folder}"


def trec_document(id, title, text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<DOC>\n<DOCNO> {id} </DOCNO>\n<!-- a note -->\n<DATE>1958</DATE>\n"
        f"<HEADLINE>\n<P>{title}</P>\n</HEADLINE>\n<TEXT>\n<P>\n{escaped}\n</P>\n</TEXT>\n</DOC>\n"
    )


def topic(id, text):
    return (
        f"<top>\n\n<num> Number: {id}\n<title> {text}\n\n<desc> Description:\nWhat to look for.\n\n"
        "<narr> Narrative:\nAnything goes.\n</top>\n\n"
    )


def as_trec(folder, splits=SPLITS):
    write(folder / "documents" / "a" / "first.txt", "".join(trec_document(*d) for d in DOCUMENTS[:7]))
    write(folder / "documents" / "b.txt", "".join(trec_document(*d) for d in DOCUMENTS[7:]))
    for split in splits:
        write(folder / f"topics.{split}.txt", "".join(topic(*q) for q in QUERIES[split].items()))
        write(folder / f"qrels.{split}.txt", trec_qrels(QRELS[split]))
    return f"trec:{folder}"


def as_smart(folder):
    """Without splits: it has none."""
    write(folder / "wing.all", "".join(f".I {i}\n.T\n{t}\n.A\nsomebody\n.W\n{x}\n" for i, t, x in DOCUMENTS))
    queries = [query for split in SPLITS for query in QUERIES[split].items()]
    write(folder / "wing.qry", "".join(f".I {id}\n.W\n{text}\n" for id, text in queries))
    rows = [
        (q, d, str(g)) for split in SPLITS for q, grades in QRELS[split].items() for d, g in grades.items()
    ]
    write(folder / "wing.rel", "".join(" ".join(row) + "\n" for row in rows))
    return f"smart:{folder}"


def as_ir_datasets(folder, splits=SPLITS):
    """Registered as ir_datasets' documentation says, under an id that no other test uses."""
    write(folder / "docs.tsv", tsv((i, f"{t} {x}") for i, t, x in DOCUMENTS))
    documents = ir_datasets.create_dataset(docs_tsv=folder / "docs.tsv")
    id = f"peftir-{folder.parent.name}-{folder.name}"
    ir_datasets.registry.register(id, documents)
    for split in splits:
        write(folder / f"{split}.queries", tsv(QUERIES[split].items()))
        write(folder / f"{split}.qrels", trec_qrels(QRELS[split]))
        part = ir_datasets.create_dataset(
            docs_tsv=folder / "docs.tsv",
            queries_tsv=folder / f"{split}.queries",
            qrels_trec=folder / f"{split}.qrels",
        )
        ir_datasets.registry.register(f"{id}/{split}", part)
    return f"ir_datasets:{id}"


LAYOUTS = {
    "beir": as_beir,
    "ir_datasets": as_ir_datasets,
    "msmarco-doc": as_documents_of_msmarco,
    "msmarco-passage": as_passages_of_msmarco,
    "trec": as_trec,
}
