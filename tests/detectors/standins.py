"""The architectures of published models, built small with seeded random weights and saved as they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gotowce_dagster.core.offline import keep_offline

WORDS = ["red", "square", "bracket", "brackets", "corner", "corners", "ship", "person", "bus", "four"]


def seeded(kind: Any, config: Any) -> Any:
    import torch

    torch.manual_seed(1)
    return kind(config)


def word_pieces(folder: Path) -> Any:
    """A tokenizer of whole words, as Grounding DINO has it."""
    from transformers.models.bert.tokenization_bert import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "the", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    return BertTokenizer(str(folder / "vocab.txt"))


def byte_pairs(folder: Path, length: int) -> Any:
    """A tokenizer as CLIP has it, of letters only."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length)


def clip_text(folder: Path, width: int = 512) -> Path:
    """CLIP, whose text half YOLO-World asks with."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = byte_pairs(folder, 77)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config=small
        | {
            "vocab_size": len(tokenizer),
            "projection_dim": width,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        },
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=width,
    )
    seeded(CLIPModel, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def yolo(path: Path, architecture: str, classes: Sequence[str]) -> Path:
    """A YOLO with these classes, in a file as ultralytics saves it."""
    keep_offline()
    import torch
    from ultralytics import YOLO

    torch.manual_seed(1)
    model = YOLO(architecture)
    inner: Any = model.model
    inner.names = dict(enumerate(classes))
    model.save(path)
    return path


def yolo_world(path: Path) -> Path:
    """YOLO-World's smallest, in a file as ultralytics saves it."""
    keep_offline()
    import torch
    from ultralytics import YOLOWorld

    torch.manual_seed(1)
    model = YOLOWorld("yolov8n-worldv2.yaml")
    model.save(path)
    return path


def yoloe(path: Path, classes: Sequence[str]) -> Path:
    """YOLOE's smallest, with random embeddings as its classes, or without classes; saved by ultralytics."""
    keep_offline()
    import torch
    from ultralytics import YOLOE

    torch.manual_seed(1)
    model = YOLOE("yoloe-11n.yaml")
    inner: Any = model.model
    if classes:
        model.set_classes(list(classes), inner.model[-1].get_tpe(torch.randn(1, len(classes), 512)).detach())
    model.save(path)
    return path


def grounding_dino(folder: Path) -> Path:
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    tokenizer = word_pieces(folder)
    backbone = SwinConfig(embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4)
    backbone.set_output_features_output_indices(["stage2", "stage3", "stage4"], None)
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=20,
        num_feature_levels=4,
    )
    seeded(GroundingDinoForObjectDetection, config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 96, "longest_edge": 128})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def rf_detr(folder: Path, classes: Sequence[str] = ("ship", "person", "bus")) -> Path:
    """RF-DETR whose input has a multiple of 16 pixels."""
    from transformers import RfDetrConfig, RfDetrForObjectDetection, RfDetrImageProcessor

    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "num_windows": 2,
        "out_features": ["stage1", "stage2"],
    }
    config = RfDetrConfig(
        backbone_config=backbone,
        d_model=32,
        decoder_layers=2,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2,
        decoder_ffn_dim=64,
        num_queries=20,
        group_detr=2,
        c2f_num_blocks=1,
        id2label=dict(enumerate(classes)),
    )
    seeded(RfDetrForObjectDetection, config).save_pretrained(folder)
    RfDetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False).save_pretrained(folder)
    return folder


def d_fine(folder: Path, classes: Sequence[str] = ("ship", "person", "bus")) -> Path:
    """D-FINE with two feature maps, of 8 and 16 pixels."""
    from transformers import DFineConfig, DFineForObjectDetection, RTDetrImageProcessor

    backbone = {
        "model_type": "hgnet_v2",
        "out_indices": [2, 3],
        "depths": [1, 1, 1],
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 16, 24],
        "stage_mid_channels": [8, 8, 8],
        "stage_out_channels": [16, 24, 32],
        "stage_num_blocks": [1, 1, 1],
        "stage_numb_of_layers": [1, 1, 1],
        "stage_downsample": [False, True, True],
        "stage_light_block": [False, False, True],
        "stage_kernel_size": [3, 3, 3],
        "embedding_size": 8,
        "hidden_sizes": [16, 24, 32],
    }
    config = DFineConfig(
        backbone_config=backbone,
        d_model=32,
        encoder_hidden_dim=32,
        encoder_in_channels=[24, 32],
        feat_strides=[8, 16],
        encode_proj_layers=[1],
        num_feature_levels=2,
        decoder_in_channels=[32, 32],
        decoder_n_points=[2, 2],
        decoder_layers=2,
        decoder_attention_heads=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=20,
        num_denoising=10,
        id2label=dict(enumerate(classes)),
    )
    seeded(DFineForObjectDetection, config).save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def owl(folder: Path) -> Path:
    """OWLv2."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

    tokenizer = byte_pairs(folder, 16)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = Owlv2Config(
        text_config=small
        | {
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config=small | {"image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    model = seeded(Owlv2ForObjectDetection, config)
    model.box_head.dense2.weight.data *= 0.02  # boxes near their places of the picture
    model.box_head.dense2.bias.data[2:] = 2.0  # and of some size
    model.save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessor(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


def kosmos2(folder: Path, words: Sequence[str], after: str = "<grounding>") -> Path:
    """Kosmos-2 whose generation is biased towards these tokens, one after the other, after a first one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        GenerationConfig,
        Kosmos2Config,
        Kosmos2ForConditionalGeneration,
        Kosmos2Processor,
        PreTrainedTokenizerFast,
    )

    folder.mkdir(parents=True, exist_ok=True)
    # Pieces as sentencepiece writes them: the mark begins a word.
    pieces = [f"\u2581{word}" for word in ["a", "an", *WORDS]]
    places = [f"<place_{number}>" for number in range(64)]  # of the picture, numbered right after <unk>
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
    ids = [tokenizer.convert_tokens_to_ids(token) for token in (after, *words, "</s>")]
    GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        sequence_bias=[[ids[: place + 1], 100.0 * (place + 1)] for place in range(1, len(ids))],
    ).save_pretrained(folder)
    return folder


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
    """Not Moondream, whose architecture comes with its weights alone: its methods, giving these answers."""
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
    seeded(BlipForConditionalGeneration, config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def sam3(folder: Path) -> Path:
    """SAM 3 of 56 pixels."""
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    tokenizer = byte_pairs(folder, 32)
    part = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 2, "num_layers": 1}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 32,
                "intermediate_size": 37,
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "image_size": 56,
                "pretrain_image_size": 56,
                "patch_size": 14,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "hidden_size": 32,
            "intermediate_size": 37,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "projection_dim": 16,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config=part | {"num_queries": 12},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    seeded(Sam3Model, config).save_pretrained(folder)
    images = Sam3ImageProcessor(size={"height": 56, "width": 56})
    Sam3Processor(images, tokenizer).save_pretrained(folder)
    return folder


def florence2(folder: Path, tokens: Sequence[str]) -> Path:
    """Florence-2 whose generation is biased towards these tokens, one after the other."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        BartTokenizerFast,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        GenerationConfig,
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
    ids = [2, *(tokenizer.convert_tokens_to_ids(token) for token in (*tokens, "</s>"))]
    GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        sequence_bias=[[ids[: place + 1], 100.0 * (place + 1)] for place in range(1, len(ids))],
    ).save_pretrained(folder)
    return folder
