"""Stand-ins of models that are prompted with phrases."""

from pathlib import Path

from tests.detectors.standins.parts import TRANSFORMER, byte_pairs, saved, seeded, word_pieces


def clip_text(folder: Path, width: int = 512) -> Path:
    """CLIP, whose text encoder encodes the phrases of YOLO-World."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = byte_pairs(folder, 77)
    config = CLIPConfig(
        text_config=TRANSFORMER
        | {
            "vocab_size": len(tokenizer),
            "projection_dim": width,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        },
        vision_config=TRANSFORMER | {"image_size": 32, "patch_size": 16},
        projection_dim=width,
    )
    return saved(folder, seeded(CLIPModel, config), tokenizer)


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
    return saved(folder, GroundingDinoProcessor(images, tokenizer))


def owl(folder: Path) -> Path:
    """OWLv2."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

    tokenizer = byte_pairs(folder, 16)
    config = Owlv2Config(
        text_config=TRANSFORMER
        | {
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config=TRANSFORMER | {"image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    model = seeded(Owlv2ForObjectDetection, config)
    model.box_head.dense2.weight.data *= 0.02  # boxes near their tokens
    model.box_head.dense2.bias.data[2:] = 2.0  # and not too small
    return saved(
        folder, model, Owlv2Processor(Owlv2ImageProcessor(size={"height": 64, "width": 64}), tokenizer)
    )


def sam3(folder: Path) -> Path:
    """SAM 3 with an input of 56 pixels."""
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    tokenizer = byte_pairs(folder, 32)
    part = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 2, "num_layers": 1}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **TRANSFORMER,
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
            **TRANSFORMER,
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
    return saved(folder, Sam3Processor(images, tokenizer))
