"""Weights of a model: a checkpoint, official or of transformers, checked before it is used, or random ones for trials.

Checkpoints are read with `weights_only=True`: a file that would run code is refused, and nothing of it is executed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

from planner.catalog.checkpoints import local_path
from planner.catalog.weight_files import SAFETENSORS, SHARDED, ZIP, parts_of, shards_of
from planner.catalog.weight_names import is_video_only
from planner.catalog.weights import Accepted, accept, missing
from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.nouns.official import official_name
from planner.nouns.run import Configuration
from planner.runtime.network import build
from planner.runtime.replacing import replaced
from planner.runtime.safe_files import read_tensors, safe_tensors


def random_model(configuration: Configuration, seed: int) -> Any:
    """A model with random weights, the same for the same seed: its memory is a trained one's, its masks are not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(configuration)


def model_from(configuration: Configuration, checkpoint: str | Path, *, video: bool = True) -> Any:
    """A model with the weights of `checkpoint`: a file, a folder that holds it, or an official hub id.

    Without `video` the weights may be those for pictures alone; what they lack is then left without values. Raises
    FileError for a file that is none, or of another variant or version; EnvironmentFailure where an id cannot be
    fetched.
    """
    accepted = accept(find_checkpoint(configuration, checkpoint), configuration, video=video)
    weights = read_weights(accepted)
    with without_initial_values():
        model = build(configuration)
    if accepted.pictures_only:
        weights |= {name: value for name, value in model.state_dict().items() if is_video_only(name)}
    # Names, shapes and types were compared already; strictly, should the model of another sam2 differ from the list.
    try:
        model.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise FileError(
            f"{accepted.path} does not fit the network of the installed sam2: {_first_line(error)}.",
            "Install sam2 1.1.0 or newer.",
        ) from error
    return model


def find_checkpoint(configuration: Configuration, checkpoint: str | Path) -> Path:
    """The file that `checkpoint` means for this configuration."""
    path = local_path(configuration, checkpoint)
    if os.path.isfile(path):  # not pathlib: it raises where a folder may not be looked into
        return path
    if _is_hub_id(str(checkpoint)):
        return _fetch(configuration, str(checkpoint))
    raise missing(configuration, path)


def read_weights(accepted: Accepted) -> dict[str, torch.Tensor]:
    """The tensors of a file that was accepted, by SAM 2's own names, without running anything of it.

    They may be pages of the file, which are read when they are used.
    """
    path = accepted.path
    try:
        content = _content(path, accepted.form)
        for key in accepted.place.keys:
            content = content[key]
        found = {name: content[original] for name, original in accepted.names.originals.items()}
        return found | {name: found[name][row : row + 1] for name, row in accepted.names.rows.items()}
    except pickle.UnpicklingError as error:
        # torch goes on to advise how to load it nevertheless, which is no advice for a file of unknown origin.
        raise FileError(
            f"{path} was refused: it holds more than weights.", "Nothing of it was run. Use an official checkpoint."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise FileError(
            f"{path} cannot be read as a checkpoint: it is cut short, damaged or of another kind"
            f" ({_first_line(error)}).",
            "Download it again and compare its size.",
        ) from error


def _content(path: Path, form: str) -> Any:
    if form == SAFETENSORS:
        return safe_tensors(path)
    if form == SHARDED:
        parts = {part: safe_tensors(part) for part in parts_of(path)}
        return {name: parts[part][name] for name, part in shards_of(path).items()}
    return read_tensors(path, mapped=form == ZIP)


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
            f'Run pip install "sam2-plan[run]", or give the path of {file_name}.',
        ) from error
    try:
        return Path(hf_hub_download(repo_id=name, filename=file_name))
    except Exception as error:  # whatever the network, the hub or its cache raises
        raise EnvironmentFailure(
            f"{name} could not be fetched: {_first_line(error)}.",
            f"Give the path of {file_name}: sam2-plan checkpoints says where it can be had.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextlib.contextmanager
def without_initial_values() -> Iterator[None]:
    """Leave new parameters as they are: all of them are about to be replaced."""

    def leave(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return tensor

    with replaced(torch.nn.init, kaiming_uniform_=leave, uniform_=leave, normal_=leave):
        yield
