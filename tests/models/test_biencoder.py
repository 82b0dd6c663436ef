"""The retriever on the real backbone: vectors, and the loss against sums written out by hand."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import AutoModel, LlamaConfig, PreTrainedTokenizerFast

from lessons import example, loss_of, training_data
from peftir.data.collection import Qrels
from peftir.models.biencoder import encode, new_biencoder
from peftir.training.batch_losses import RetrieverLoss

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"
QUERY_LENGTH, DOCUMENT_LENGTH = 8, 12  # tokens, of which [CLS] and [SEP] are two

ROUNDING = 1e-12
"""Of float64, in units of the largest number: 1e-16 a rounding, sums of some 1e3 numbers, six layers."""

QUERIES = {
    "q0": "sort a list",
    "q1": "open a file",
    "q2": "draw a line",
    "q3": "order numbers from the smallest to the largest",
}
DOCUMENTS = {
    "d0": "Return the items in ascending order.",
    "d1": "Give a handle to what is stored on the disk under a given path, for reading it.",
    "d2": "Plot points and join them.",
    "d3": "Close the window.",
    "d4": "Write text.",
    "d5": "The items, each once.",
}
BATCH = [
    ("q0", "d0", "d3"),
    ("q1", "d1", "d0"),  # q0's document comes again, as a negative of q1
    ("q2", "d2", "d4"),
    ("q3", "d0", "d5"),  # the same relevant document as q0's
]
QRELS = {
    "q0": {"d0": 1, "d2": 3, "d3": 0},  # d2 is relevant to q0 too, d3 is judged and is not
    "q1": {"d1": 1},
    "q2": {"d2": 1},
    "q3": {"d0": 2, "d5": 0},
}


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return new_biencoder(
        BACKBONE, pooling="mean", query_length=QUERY_LENGTH, document_length=DOCUMENT_LENGTH
    ).eval()


@pytest.fixture(scope="module")
def exact(model: SentenceTransformer) -> SentenceTransformer:
    """The model in float64: what is equal hardly differs, on any processor."""
    return copy.deepcopy(model).double()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Numbers in float64 differ by rounding alone, in units of the largest."""
    assert found.dtype == np.float64
    assert np.abs(found - expected).max() <= ROUNDING * max(1, np.abs(expected).max())


def loss_of_batch(
    model: SentenceTransformer,
    folder: Path,
    temperature: float,
    batch: list[tuple[str, ...]] = BATCH,
    queries: dict[str, str] = QUERIES,
    qrels: Qrels = QRELS,
    own_documents: bool = False,
) -> Tensor:
    data = training_data(folder / "collection", queries, DOCUMENTS, qrels, own_documents)
    examples = [example(data, *ids) for ids in batch]
    loss = RetrieverLoss(model, data.sampler, temperature)
    return loss_of(data, [examples], loss)(examples)


def shuffled_texts() -> list[str]:
    generator = random.Random(1)
    words = " ".join(DOCUMENTS.values()).split()
    return [" ".join(generator.choices(words, k=generator.randrange(1, 12))) for _ in range(40)]


def similarity(model: SentenceTransformer, query: str, document: str) -> float:
    """The cosine of one query and one document, each encoded alone by sentence-transformers itself."""
    a = model.encode_query(QUERIES[query]).astype(np.float64)
    b = model.encode_document(DOCUMENTS[document]).astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def loss_by_hand(model: SentenceTransformer, temperature: float) -> float:
    # Columns: the relevant documents of q0 to q3, then the negatives of q0 to q3.
    d0, d1, d2, d3, d0_again, d4, d0_of_q3, d5 = "d0", "d1", "d2", "d3", "d0", "d4", "d0", "d5"
    choices = {
        "q0": (d0, [d1, d3, d4, d5]),  # without d2 and the two other d0, which are relevant to it
        "q1": (d1, [d0, d2, d0_of_q3, d3, d0_again, d4, d5]),
        "q2": (d2, [d0, d1, d0_of_q3, d3, d0_again, d4, d5]),
        "q3": (d0, [d1, d2, d3, d4, d5]),  # without the other d0
    }
    losses = []
    for query, (right, wrong) in choices.items():
        exponentials = [math.exp(similarity(model, query, d) / temperature) for d in (right, *wrong)]
        losses.append(-math.log(exponentials[0] / sum(exponentials)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_is_the_one_written_out_by_hand(
    exact: SentenceTransformer, temperature: float, tmp_path: Path
) -> None:
    loss = loss_of_batch(exact, tmp_path, temperature)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(loss_by_hand(exact, temperature), rel=1e-9)


def test_a_query_alone_picks_between_its_document_and_its_negative(
    exact: SentenceTransformer, tmp_path: Path
) -> None:
    loss = loss_of_batch(exact, tmp_path, 0.05, BATCH[:1])
    margin = (similarity(exact, "q0", "d0") - similarity(exact, "q0", "d3")) / 0.05
    assert loss.item() == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-9)


def test_a_query_s_own_document_is_no_negative(exact: SentenceTransformer, tmp_path: Path) -> None:
    batch = [("q0", "d0"), ("d0", "d1")]  # the second query is the document d0
    queries, qrels = {"q0": QUERIES["q0"], "d0": QUERIES["q1"]}, {"q0": {"d0": 1}, "d0": {"d1": 1}}
    both, own = (
        loss_of_batch(exact, tmp_path, 1.0, batch, queries, qrels, own_documents).item()
        for own_documents in (False, True)
    )
    # Left with its document alone, the second query has nothing to learn.
    first = math.log1p(math.exp(similarity(exact, "q0", "d1") - similarity(exact, "q0", "d0")))
    assert own == pytest.approx(first / 2, rel=1e-9)
    assert own < both


def test_the_loss_reaches_every_weight_that_is_trained(model: SentenceTransformer, tmp_path: Path) -> None:
    loss_of_batch(model, tmp_path, 0.05).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    model.zero_grad(set_to_none=True)
    # Mean pooling has no use for BERT's own pooler; adding one number to all keys changes no attention.
    assert {name for name in without if "pooler" not in name and "key.bias" not in name} == set()


@pytest.mark.parametrize("task", ["query", "document"])
def test_vectors_are_those_of_sentence_transformers(
    model: SentenceTransformer, exact: SentenceTransformer, task: str
) -> None:
    ours = encode(model, shuffled_texts(), task, "float32")
    assert (ours.dtype, ours.shape) == (np.float32, (40, 384))
    ours = encode(exact, shuffled_texts(), task, "float32")
    theirs = (exact.encode_query if task == "query" else exact.encode_document)(shuffled_texts())
    assert_close(ours, theirs)
    assert_close(np.linalg.norm(ours, axis=1), np.ones(40))


def test_a_vector_depends_neither_on_its_place_nor_on_the_texts_around_it(exact: SentenceTransformer) -> None:
    given = shuffled_texts()
    together = encode(exact, given, "document", "float32")
    order = np.random.default_rng(0).permutation(len(given))
    assert_close(encode(exact, [given[i] for i in order], "document", "float32"), together[order])
    alone = np.concatenate([encode(exact, [text], "document", "float32") for text in given])
    assert_close(alone, together)


def test_encoding_again_gives_the_same_bits(model: SentenceTransformer) -> None:
    for precision in ("float32", "bfloat16"):
        first, second = (encode(model, shuffled_texts(), "document", precision) for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_bfloat16_is_near_and_stays_float32_outside(model: SentenceTransformer) -> None:
    exact = encode(model, shuffled_texts(), "document", "float32")
    coarse = encode(model, shuffled_texts(), "document", "bfloat16")
    assert coarse.dtype == np.float32
    assert not np.array_equal(coarse, exact)
    assert (exact * coarse).sum(axis=1).min() > 0.999


@pytest.mark.parametrize(("task", "length"), [("query", QUERY_LENGTH), ("document", DOCUMENT_LENGTH)])
def test_a_longer_text_is_cut_to_its_own_length(exact: SentenceTransformer, task: str, length: int) -> None:
    # "sort" is one token, so length - 2 of it remain.
    long, cut, short = (encode(exact, ["sort " * n], task, "float32") for n in (600, length - 2, length - 3))
    assert_close(long, cut)
    assert np.abs(long - short).max() > 1e-4


def test_an_empty_text_has_a_vector_that_changes_no_other(exact: SentenceTransformer) -> None:
    given = ["", *shuffled_texts(), " \n"]
    vectors = encode(exact, given, "document", "float32")
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=ROUNDING)
    assert_close(vectors[0], vectors[-1])
    assert_close(vectors[1:-1], encode(exact, shuffled_texts(), "document", "float32"))


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_pooling_takes_the_tokens_that_it_names(pooling: str) -> None:
    model = new_biencoder(BACKBONE, pooling=pooling, query_length=8, document_length=12).double().eval()
    given = ["sort", "sort a list of numbers"]
    features = model.tokenizer(given, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model[0].model(**features).last_hidden_state
    last = features["attention_mask"].sum(dim=1) - 1
    for row, vector in enumerate(encode(model, given, "query", "float32")):
        tokens = states[row, : last[row] + 1]
        pooled = {"cls": tokens[0], "mean": tokens.mean(dim=0), "last": tokens[-1]}[pooling]
        assert_close(vector, torch.nn.functional.normalize(pooled, dim=0).numpy())


IN_FLOAT32 = 1e-5
"""Llama computes its norms in float32, whatever the weights are in: some hundred roundings of 6e-8."""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama whose tokenizer has no padding token, as the real one's."""
    folder = tmp_path_factory.mktemp("llama")
    words = ["<unk>", "</s>", *dict.fromkeys(" ".join([*QUERIES.values(), *DOCUMENTS.values()]).split())]
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(words), num_key_value_heads=2, max_position_embeddings=64, **sizes)
    AutoModel.from_config(config).save_pretrained(folder)
    words_alone = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    words_alone.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words_alone, unk_token="<unk>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_token_is_found_whichever_side_is_padded(decoder: Path, tmp_path: Path, side: str) -> None:
    model = new_biencoder(str(decoder), pooling="last", query_length=16, document_length=16).eval()
    model.tokenizer.padding_side = side
    given = list(DOCUMENTS.values())
    together = encode(model, given, "document", "float32")
    for text, vector in zip(given, together, strict=True):
        tokens = model.tokenizer(text, return_tensors="pt", truncation=True, max_length=16)
        with torch.no_grad():
            last = model[0].model(**tokens).last_hidden_state[0, -1]
        expected = torch.nn.functional.normalize(last, dim=0).numpy()
        assert np.allclose(vector, expected, rtol=0, atol=IN_FLOAT32)
    model.save_pretrained(str(tmp_path))
    loaded = SentenceTransformer(str(tmp_path))
    loaded.tokenizer.padding_side = side
    assert np.allclose(loaded.encode_document(given), together, rtol=0, atol=IN_FLOAT32)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_a_text_without_a_token_is_read_as_the_end_of_one(decoder: Path, pooling: str) -> None:
    model = new_biencoder(str(decoder), pooling=pooling, query_length=16, document_length=16).eval()
    given = list(DOCUMENTS.values())
    together = encode(model, ["", *given, " \u3000"], "document", "float32")
    [alone] = encode(model, [""], "document", "float32")
    with torch.no_grad():
        end = model[0].model(torch.tensor([[model.tokenizer.eos_token_id]])).last_hidden_state[0, 0]
    expected = torch.nn.functional.normalize(end, dim=0).numpy()
    for vector in (alone, together[0], together[-1]):
        assert np.allclose(vector, expected, rtol=0, atol=IN_FLOAT32)
    beside = encode(model, given, "document", "float32")
    assert np.allclose(together[1:-1], beside, rtol=0, atol=IN_FLOAT32)


@pytest.fixture(scope="module")
def prefixed() -> SentenceTransformer:
    return new_biencoder(
        BACKBONE,
        pooling="cls",
        similarity="dot",
        query_length=QUERY_LENGTH,
        document_length=DOCUMENT_LENGTH,
        query_prefix="query: ",
        document_prefix="passage: ",
    ).eval()


def test_a_prefix_stands_before_the_text_and_dot_leaves_the_length(
    model: SentenceTransformer, prefixed: SentenceTransformer
) -> None:
    plain = new_biencoder(
        BACKBONE, pooling="cls", similarity="dot", query_length=QUERY_LENGTH, document_length=DOCUMENT_LENGTH
    )
    for task, prefix in (("query", "query: "), ("document", "passage: ")):
        by_hand = encode(plain, [prefix + text for text in shuffled_texts()], task, "float32")
        assert np.array_equal(encode(prefixed, shuffled_texts(), task, "float32"), by_hand)
        assert np.abs(np.linalg.norm(by_hand, axis=1) - 1).min() > 0.01


def test_prefix_pooling_and_similarity_go_with_the_saved_folder(
    prefixed: SentenceTransformer, tmp_path: Path
) -> None:
    prefixed.save_pretrained(str(tmp_path))
    loaded, exact = SentenceTransformer(str(tmp_path)).double(), copy.deepcopy(prefixed).double()
    assert loaded.similarity_fn_name == "dot"
    for task, theirs in (("query", loaded.encode_query), ("document", loaded.encode_document)):
        ours = encode(exact, shuffled_texts(), task, "float32")
        assert_close(theirs(shuffled_texts()), ours)
    assert_close(loaded.similarity(ours, ours).numpy(), ours @ ours.T)


def test_training_sees_the_prefixes_too(prefixed: SentenceTransformer, tmp_path: Path) -> None:
    exact = copy.deepcopy(prefixed).double()
    loss = loss_of_batch(exact, tmp_path, 1.0, BATCH[:1])
    query = encode(exact, [QUERIES["q0"]], "query", "float32")
    scores = (query @ encode(exact, [DOCUMENTS["d0"], DOCUMENTS["d3"]], "document", "float32").T)[0]
    # Vectors of this length make scores of dozens, a tiny loss, and 1e-14 in the scores.
    assert loss.item() == pytest.approx(math.log1p(math.exp(scores[1] - scores[0])), rel=1e-9)
