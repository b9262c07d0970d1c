"""Weights of a model: an official checkpoint, checked before it is used, or random ones to try memory.

Checkpoints are read with `weights_only=True`: a file that would run code is refused, and nothing of it is executed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

from planner.catalog.checkpoints import EXPECTED, held_of, local_path, official_name
from planner.domain import Configuration
from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.runtime.network import build
from planner.runtime.safe_files import read_tensors


def random_model(configuration: Configuration, seed: int) -> Any:
    """A model with random weights, the same for the same seed: its memory is a trained one's, its masks are not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(configuration)


def model_from(configuration: Configuration, checkpoint: str | Path) -> Any:
    """A model with the weights of `checkpoint`: a file, a folder with official file names, or an official hub id.

    Raises FileError for a file that is none, or of another variant or version; EnvironmentFailure where an id cannot
    be fetched.
    """
    path = find_checkpoint(configuration, checkpoint)
    weights = read_checkpoint(path)
    _check(weights, configuration, path)
    with _without_initial_values():
        model = build(configuration)
    _check_shapes(weights, model, path)
    wrong = model.load_state_dict(weights, strict=False, assign=True)
    if wrong.missing_keys or wrong.unexpected_keys:
        missing, extra = wrong.missing_keys, wrong.unexpected_keys
        raise FileError(
            f"{path} is not a complete SAM 2 checkpoint: {len(missing)} weights are missing, {len(extra)} unknown"
            f" (such as {(missing or extra)[0]}).",
            "Use an official checkpoint, or one saved with the same names.",
        )
    return model


def find_checkpoint(configuration: Configuration, checkpoint: str | Path) -> Path:
    """The file that `checkpoint` means for this configuration."""
    path = local_path(configuration, checkpoint)
    if os.path.isfile(path):  # not pathlib: it raises where a folder may not be looked into
        return path
    if _is_hub_id(str(checkpoint)):
        return _fetch(configuration, str(checkpoint))
    raise FileError(
        f"There is no checkpoint {path}.",
        f"Give the path of {official_name(configuration)}, a folder that holds it, or its id on the hub.",
    )


def read_checkpoint(path: Path) -> Mapping[str, torch.Tensor]:
    """Names and tensors of a checkpoint, without running anything that the file may contain."""
    try:
        content = read_tensors(path, mapped=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise FileError(
            f"{path} was refused: it holds more than weights ({_first_line(error)}).",
            "Nothing of it was run. Use an official checkpoint.",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise FileError(
            f"{path} cannot be read as a checkpoint: it is cut short, damaged or of another kind"
            f" ({_first_line(error)}).",
            "Download it again and compare its size.",
        ) from error
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise FileError(f'{path} has no weights under "model".', "Use an official checkpoint of SAM 2.")
    return weights


def _check(weights: Mapping[str, torch.Tensor], configuration: Configuration, path: Path) -> None:
    held = held_of(weights)
    if held is None:
        raise FileError(f"{path} holds no weights of SAM 2: {EXPECTED} is missing.", "Use an official checkpoint.")
    variant, version = held.variant or "an unknown variant", held.version
    if (variant, version) != (configuration.variant, configuration.version):
        raise FileError(
            f"{path} holds {variant} {version}, but the plan is for {configuration.variant} {configuration.version}.",
            f"Give {official_name(configuration)}, or plan with --variant and --version as in the file.",
        )


def _check_shapes(weights: Mapping[str, torch.Tensor], model: Any, path: Path) -> None:
    expected = model.state_dict()
    for name, tensor in weights.items():
        wanted = expected.get(name)
        if wanted is None:
            continue
        if tensor.shape != wanted.shape or not tensor.is_floating_point():
            raise FileError(
                f"{path} is no official checkpoint: {name} has the shape {tuple(tensor.shape)} and the type"
                f" {str(tensor.dtype).removeprefix('torch.')}, not {tuple(wanted.shape)} of floating-point numbers.",
                "Use an official checkpoint.",
            )


def _is_hub_id(text: str) -> bool:
    return text in HF_MODEL_ID_TO_FILENAMES


def _fetch(configuration: Configuration, name: str) -> Path:
    file_name = HF_MODEL_ID_TO_FILENAMES[name][1]
    if file_name != official_name(configuration):
        raise UsageError(
            f"{name} is not {configuration.variant} {configuration.version}, which the plan is for.",
            f"Its file would be {official_name(configuration)}.",
        )
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise EnvironmentFailure(
            f"{name} is on the hub, and fetching it needs the package huggingface_hub.",
            f"Install it, or give the path of {file_name}.",
        ) from error
    try:
        return Path(hf_hub_download(repo_id=name, filename=file_name))
    except Exception as error:  # whatever the network, the hub or its cache raises
        raise EnvironmentFailure(
            f"{name} could not be fetched: {_first_line(error)}.", f"Give the path of {file_name} instead."
        ) from error


def _is_zip(path: Path) -> bool:
    """Whether the file can be mapped instead of read: all but torch's oldest format."""
    return zipfile.is_zipfile(path)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextlib.contextmanager
def _without_initial_values() -> Iterator[None]:
    """Leave new parameters as they are: all of them are about to be replaced."""

    def leave(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return tensor

    with contextlib.ExitStack() as stack:
        for name in ("kaiming_uniform_", "uniform_", "normal_"):
            stack.enter_context(mock.patch.object(torch.nn.init, name, leave))
        yield
