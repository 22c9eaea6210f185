"""Stand-ins of models that generate text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.detectors.standins.parts import WORDS, saved, seeded, word_pieces


def kosmos2(folder: Path, words: Sequence[str], after: str = "<grounding>") -> Path:
    """Kosmos-2 whose generation is biased towards these tokens, one after the other, after a first one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        Kosmos2Config,
        Kosmos2ForConditionalGeneration,
        Kosmos2Processor,
        PreTrainedTokenizerFast,
    )

    folder.mkdir(parents=True, exist_ok=True)
    # Pieces of sentencepiece, whose mark begins a word.
    pieces = [f"\u2581{word}" for word in ["a", "an", *WORDS]]
    places = [f"<place_{number}>" for number in range(64)]  # cells of the image, numbered right after <unk>
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *places, *pieces]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    processor = Kosmos2Processor(CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), tokenizer)
    config = Kosmos2Config(
        text_config={
            "vocab_size": len(tokenizer),
            "embed_dim": 16,
            "layers": 1,
            "ffn_dim": 16,
            "attention_heads": 2,
            "max_position_embeddings": 128,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
        },
        latent_query_num=64,
    )
    seeded(Kosmos2ForConditionalGeneration, config).save_pretrained(folder)
    processor.save_pretrained(folder)
    ids: list[Any] = [tokenizer.convert_tokens_to_ids(token) for token in (after, *words, "</s>")]
    return saved(folder, _biased(ids))


def florence2(folder: Path, tokens: Sequence[str]) -> Path:
    """Florence-2 whose generation is biased towards these tokens, one after the other."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        BartTokenizerFast,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    folder.mkdir(parents=True, exist_ok=True)
    places = [f"<loc_{number}>" for number in range(1000)]
    words = [f"\u0120{word}" for word in ["a", "the", *WORDS]]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>", *places, *WORDS, *words]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = BartTokenizerFast(tokenizer_object=backend, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([AddedToken(place, special=True) for place in places])
    images = CLIPImageProcessor(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32})
    setattr(images, "image_seq_length", 5)  # noqa: B010 - of Florence-2's own copies of it
    answers = (
        "pure_text",
        "phrase_grounding",
        "description_with_bboxes",
        "description_with_bboxes_or_polygons",
    )
    processor = Florence2Processor(images, tokenizer, post_processor_config={name: {} for name in answers})
    config = Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16,
            "max_position_embeddings": 128,
            "forced_eos_token_id": None,
            "decoder_start_token_id": 2,
        },
        vision_config={
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 4],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [8, 16],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 2,
            "projection_dim": 16,
        },
        image_token_id=tokenizer.get_vocab()["<image>"],
    )
    seeded(Florence2ForConditionalGeneration, config).save_pretrained(folder)
    processor.save_pretrained(folder)
    ids: list[Any] = [2, *(tokenizer.convert_tokens_to_ids(token) for token in (*tokens, "</s>"))]
    return saved(folder, _biased(ids, decoder_start_token_id=2))


def _biased(ids: list[Any], **settings: int) -> Any:
    """Settings of generation that make these tokens follow each other."""
    from transformers import GenerationConfig

    return GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        sequence_bias=[[ids[: place + 1], 100.0 * (place + 1)] for place in range(1, len(ids))],
        **settings,
    )


_MOONDREAM = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class StandInConfig(PretrainedConfig):
    model_type = "moondream_standin"

    def __init__(self, answers=None, **kwargs):
        super().__init__(**kwargs)
        self.answers = answers or {}


class StandIn(PreTrainedModel):
    config_class = StandInConfig

    def __init__(self, config):
        super().__init__(config)
        self.encoder = torch.nn.Linear(3, 1)
        self.post_init()

    def encode_image(self, image):
        self.encoded = getattr(self, "encoded", 0) + 1
        return image

    def detect(self, image, phrase):
        return self.config.answers["detect"][phrase]

    def point(self, image, phrase):
        return self.config.answers["point"][phrase]

    def caption(self, image, length="normal"):
        return self.config.answers["caption"]

    def query(self, image, question):
        return self.config.answers["query"][question]
"""


def moondream(folder: Path, answers: dict[str, Any]) -> Path:
    """The methods of Moondream with fixed responses, because its architecture comes with its weights."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "standin.py").write_text(_MOONDREAM)
    auto = {"AutoConfig": "standin.StandInConfig", "AutoModelForCausalLM": "standin.StandIn"}
    config = {
        "model_type": "moondream_standin",
        "architectures": ["StandIn"],
        "auto_map": auto,
        "answers": answers,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"encoder.weight": torch.zeros(1, 3), "encoder.bias": torch.zeros(1)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def blip(folder: Path) -> Path:
    """BLIP for captions, with random weights."""
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = word_pieces(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "encoder_hidden_size": 16,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    config = BlipConfig(
        text_config=small | text,
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    return saved(
        folder,
        seeded(BlipForConditionalGeneration, config),
        BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer),
    )
