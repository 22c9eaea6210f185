"""The parameters the project ships with, changed where a test needs it."""

from pathlib import Path

from gotowce_dagster.config.params import LabelsParams, MasksParams, Params, read_params


def params() -> Params:
    return read_params(Path(__file__).parent.parent / "params.yaml")


def masks_params(**changes: object) -> MasksParams:
    return MasksParams.model_validate(params().masks.model_dump() | changes)


def labels_params() -> LabelsParams:
    return params().cleaned_labels
