"""Models that start from more than an encoder: Dense layers, a trained head, or answers of yes and no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from peftir.models import saving
from peftir.models.backbone import weights_of
from peftir.models.biencoder import encode, new_biencoder
from peftir.models.crossencoder import new_crossencoder, score
from peftir.models.sides import count
from peftir.models.tokenizing import PATTERNS
from peftir.models.yes_no import with_prompt
from peftir.pipeline.untrained_model import write_untrained
from peftir.study import layout
from peftir.study.params import MethodParams
from peftir.study.starts import YesNoParams
from peftir.system.errors import PeftirError
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

TEXTS = ["sort a list", "open the file", "a line of text and a path to it"]
PAIRS = [("sort a list", text) for text in TEXTS]
RATES = {"retriever": 1e-3, "reranker": 1e-3}
LORA = MethodParams(type="lora", rank=2, learning_rate=RATES)
FULL = MethodParams(type="full", learning_rate=RATES)

SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
    'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCT = "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
PROMPT = f"{SYSTEM}{INSTRUCT}<Query>: {{query}}\n<Document>: {{document}}{ANSWER}"
"""That of the model card of Qwen3-Reranker."""


@pytest.fixture(scope="module")
def sentence_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model with pooling by the maximum and two Dense layers."""
    folder = tmp_path_factory.mktemp("sentences")
    bert = write_tiny_bert(folder / "bert", " ".join(TEXTS).split())
    torch.manual_seed(2)
    layers = [
        Transformer(str(bert)),
        Pooling(32, "max"),
        Dense(32, 48, bias=False, activation_function=torch.nn.Identity()),
        Dense(48, 20, activation_function=torch.nn.Tanh()),
        Normalize(),
    ]
    SentenceTransformer(modules=layers).save_pretrained(str(folder / "model"))
    return folder / "model"


def new_retriever(folder: Path, tune: Any = "both") -> SentenceTransformer:
    return new_biencoder(str(folder), pooling="model", query_length=16, document_length=16, tune=tune).eval()


def test_pooling_and_dense_layers_are_those_of_the_model(sentence_model: Path) -> None:
    model = new_retriever(sentence_model)
    expected = SentenceTransformer(str(sentence_model)).encode(TEXTS)
    assert expected.shape == (3, 20)
    # Equal up to the sums of other batches, in float32.
    assert np.abs(encode(model, TEXTS, "document", "float32") - expected).max() < 1e-6
    assert model[1].pooling_mode == "max"
    assert {"2_Dense/model.safetensors", "3_Dense/config.json"} <= set(weights_of(sentence_model))


@pytest.mark.parametrize(("method", "tune", "trained"), [
    (LORA, "both", False), (FULL, "both", True), (FULL, "query", False), (FULL, "separate", True),
])  # fmt: skip
def test_dense_layers_are_trained_where_all_is(
    sentence_model: Path, method: MethodParams, tune: str, trained: bool, tmp_path: Path
) -> None:
    model = new_retriever(sentence_model, tune)
    saving.attach(model, "v", method)
    dense = [weight for layer in list(model)[2:] for weight in layer.parameters()]
    assert [weight.requires_grad for weight in dense] == [trained] * 3
    found, size = count(model), 32 * 48 + 48 * 20 + 20
    encoder = found.backbone - size
    assert found.trained == {("lora", "both"): 2 * 2 * 2 * 2 * 32}.get(
        (method.type, tune), encoder * (2 if tune == "separate" else 1) + (size if trained else 0)
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape)
    saving.save(model, tmp_path / "model", str(sentence_model))
    loaded = saving.load(SentenceTransformer, tmp_path / "model")
    for task in ("query", "document"):
        found_vectors = encode(loaded, TEXTS, task, "float32")  # type: ignore[arg-type]
        assert np.array_equal(found_vectors, encode(model, TEXTS, task, "float32"))  # type: ignore[arg-type]


def test_a_model_whose_layers_cannot_be_taken_is_a_line(sentence_model: Path, tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"backbone\.pooling: model: .* has no modules\.json"):
        new_retriever(write_tiny_bert(tmp_path / "bert", ["a"]))
    copy = tmp_path / "copy"
    shutil.copytree(sentence_model, copy)
    config = copy / "3_Dense" / "config.json"
    config.write_text(config.read_text().replace("torch.nn.modules.activation.Tanh", "os.system"))
    with pytest.raises(PeftirError, match=r"3_Dense/config\.json: activation_function: 'os\.system'"):
        new_retriever(copy)
    modules = json.loads((copy / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.sentence_transformer.modules.LSTM"
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(PeftirError, match=r"modules\.json: type .*LSTM'"):
        new_retriever(copy)


@pytest.fixture(scope="module")
def trained_crossencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_bert(tmp_path_factory.mktemp("scorer") / "bert", " ".join(TEXTS).split())
    torch.manual_seed(4)
    config = BertConfig.from_pretrained(folder, num_labels=1)
    model = BertForSequenceClassification.from_pretrained(folder, config=config)
    with torch.no_grad():
        model.classifier.weight.normal_()
    model.save_pretrained(folder)
    return folder


def test_a_trained_head_is_kept(trained_crossencoder: Path, tmp_path: Path) -> None:
    folder = trained_crossencoder
    expected = CrossEncoder(str(folder), activation_fn=torch.nn.Identity()).predict(PAIRS)
    model = new_crossencoder(str(folder), length=24)
    assert np.abs(score(model, PAIRS, "float32") - expected).max() < 1e-5 * np.abs(expected).max()
    saving.attach(model, "v", LORA)
    assert np.abs(score(model, PAIRS, "float32") - expected).max() < 1e-5 * np.abs(expected).max()
    config = BertConfig.from_pretrained(folder, num_labels=3)
    three = tmp_path / "three"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(three)
    with pytest.raises(PeftirError, match=r"has a head of 3 outputs; expected a cross-encoder with one"):
        new_crossencoder(str(three), length=24)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def answering(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random causal language model with a byte-level tokenizer like Qwen3's."""
    folder = tmp_path_factory.mktemp("answering")
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERNS[1]), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*TEXTS, PROMPT, "yes", "no", "yes", "no"] * 3, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|im_end|>"
    ).save_pretrained(folder)
    torch.manual_seed(6)
    config = Qwen3Config(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.3,
        tie_word_embeddings=request.param,
        pad_token_id=0,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def scores_as_on_the_card(folder: Path, pairs: list[tuple[str, str]], length: int) -> list[float]:
    """The difference of the logits of yes and no, with the code of Qwen3-Reranker's model card."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prefix = tokenizer.encode(SYSTEM, add_special_tokens=False)
    suffix = tokenizer.encode(ANSWER, add_special_tokens=False)
    texts = [f"{INSTRUCT}<Query>: {query}\n<Document>: {document}" for query, document in pairs]
    room = length - len(prefix) - len(suffix)
    inputs = tokenizer(texts, padding=False, truncation="longest_first", max_length=room)
    ids = [prefix + each + suffix for each in inputs["input_ids"]]
    padded = tokenizer.pad({"input_ids": ids}, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**padded).logits[:, -1, :]
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    return (logits[:, yes] - logits[:, no]).tolist()


def test_the_score_is_the_difference_of_the_two_logits_after_the_prompt(answering: Path) -> None:
    model = new_crossencoder(str(answering), length=400, yes_no=YesNoParams(prompt=PROMPT))
    pairs = [*PAIRS, ("open", "  a text with spaces, and\na second line. ")]
    expected = scores_as_on_the_card(answering, pairs, 4000)
    found = score(model, pairs, "float32")
    assert np.std(expected) > 0.01
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_long_document_is_cut_and_the_answer_is_still_asked_for(answering: Path) -> None:
    length = len(new_crossencoder(
        str(answering), length=400, yes_no=YesNoParams(prompt=PROMPT)
    ).tokenizer("sort a list", "open").input_ids) + 6  # fmt: skip
    model = new_crossencoder(str(answering), length=length, yes_no=YesNoParams(prompt=PROMPT))
    pairs = [("sort a list", "open the file " * 50)]
    ids = model.tokenizer(*pairs[0], truncation="longest_first", max_length=length).input_ids
    assert model.tokenizer.decode(ids).endswith(ANSWER) and len(ids) == length
    assert score(model, pairs, "float32") == pytest.approx(
        scores_as_on_the_card(answering, pairs, length), rel=1e-4, abs=1e-4
    )


def test_a_tuned_one_comes_back_with_its_prompt(answering: Path, tmp_path: Path) -> None:
    model = new_crossencoder(str(answering), length=400, yes_no=YesNoParams(prompt=PROMPT))
    torch.manual_seed(1)
    saving.attach(model, "v", LORA)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape)
    saving.save(model.eval(), tmp_path / "model", str(answering))
    expected = score(model, PAIRS, "float32")
    loaded = saving.load(CrossEncoder, tmp_path / "model")
    assert np.array_equal(score(loaded, PAIRS, "float32"), expected)
    plain = CrossEncoder(str(tmp_path / "model")).predict(PAIRS)  # without the rest of peftir
    assert plain == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("own", ["", "<|endoftext|>"])
def test_the_token_that_begins_each_text_is_before_the_prompt_once(answering: Path, own: str) -> None:
    """As Llama's, Gemma's and Mistral's tokenizers add one."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(answering)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A",
        pair="<|endoftext|> $A $B",
        special_tokens=[("<|endoftext|>", tokenizer.convert_tokens_to_ids("<|endoftext|>"))],
    )
    prompt = own + "Query: {query}\nDocument: {document}\nAnswer:"
    asked = with_prompt(tokenizer, prompt)
    text = prompt.format(query="sort a list", document="open the file")
    assert (
        asked("sort a list", "open the file").input_ids
        == tokenizer(text, add_special_tokens=not own).input_ids
    )


def test_a_family_whose_head_is_more_than_one_layer_cannot_answer(answering: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = ModernBertDecoderConfig(vocab_size=600, pad_token_id=0, **sizes)
    ModernBertDecoderForCausalLM(config).save_pretrained(tmp_path)
    PreTrainedTokenizerFast.from_pretrained(answering).save_pretrained(tmp_path)
    with pytest.raises(
        PeftirError, match=r"^reranker\.yes_no: .* is of the family modernbert-decoder, whose"
    ):
        new_crossencoder(str(tmp_path), length=400, yes_no=YesNoParams(prompt=PROMPT))


def test_an_untrained_models_record_counts_the_dense_layers(sentence_model: Path, tmp_path: Path) -> None:
    params = make_params(tmp_path, backbone={"name": str(sentence_model), "pooling": "model"})
    model = new_retriever(sentence_model)
    write_untrained(tmp_path, params, "retriever", "zero_shot", model)
    record = json.loads((tmp_path / layout.training("retriever", "zero_shot", None)).read_text())
    assert record["weights"]["backbone"] == count(model).backbone
    encoder = sum(weight.numel() for weight in model[0].parameters())
    assert count(model).backbone > encoder - sum(w.numel() for w in model[0].model.pooler.parameters())


def test_what_cannot_answer_is_a_line(answering: Path, trained_crossencoder: Path) -> None:
    for folder, given, message in (
        (trained_crossencoder, {"prompt": PROMPT}, r"reranker\.yes_no: .* is no causal language model"),
        (
            answering,
            {"prompt": PROMPT, "yes": "certainly so"},
            r"reranker\.yes_no\.yes: 'certainly so': is \d",
        ),
    ):
        with pytest.raises(PeftirError, match=message):
            new_crossencoder(str(folder), length=400, yes_no=YesNoParams.model_validate(given))
    with pytest.raises(PeftirError, match=r"reranker\.length: 32: expected more than \d+, since the prompt"):
        new_crossencoder(str(answering), length=32, yes_no=YesNoParams(prompt=PROMPT))
    with pytest.raises(ValueError, match=r"a text with \{query\} and then \{document\}, each once"):
        YesNoParams(prompt="{document} {query}")
    with pytest.raises(ValueError, match=r"a space before both \{query\} and \{document\} or before neither"):
        YesNoParams(prompt="Query: {query}\nDocument:\n{document}")
