"""Parts of the stand-ins: tokenizers, and models with seeded random weights."""

import json
from pathlib import Path
from typing import Any

WORDS = ["red", "square", "bracket", "brackets", "corner", "corners", "ship", "person", "bus", "four"]
TRANSFORMER = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 2, "num_hidden_layers": 2}
"""Settings of a small encoder."""


def seeded(kind: Any, config: Any) -> Any:
    import torch

    torch.manual_seed(1)
    return kind(config)


def saved(folder: Path, *parts: Any) -> Path:
    """Save a model, its processor and other parts in one folder."""
    for part in parts:
        part.save_pretrained(folder)
    return folder


def word_pieces(folder: Path) -> Any:
    """A tokenizer of whole words, of the kind that Grounding DINO uses."""
    from transformers.models.bert.tokenization_bert import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "the", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    return BertTokenizer(str(folder / "vocab.txt"))


def byte_pairs(folder: Path, length: int) -> Any:
    """A tokenizer of letters, of the kind that CLIP uses."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length)
