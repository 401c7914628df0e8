"""Where a model runs and in which numbers: probed once, decided purely, checked against memory."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal

from ....core.errors import ConfigError, OutOfMemory

__all__ = [
    "Machine",
    "Precision",
    "Runtime",
    "free_bytes",
    "plan_runtime",
    "probe_machine",
    "require_memory",
]

Number = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32"]
"""``"float32"`` reproduces reference numbers; ``"auto"`` is what the machine computes fastest."""

BYTES: dict[Number, int] = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine can do. ``gpus`` says of each whether it computes in bfloat16."""

    gpus: tuple[bool, ...]
    cpu_bfloat16: bool
    flash_attention: bool


@dataclass(frozen=True, slots=True)
class Runtime:
    """What was decided. ``attention`` is the decoder's; the encoder needs a bias, so sdpa."""

    device: str
    encoder: Number
    decoder: Number
    attention: Literal["sdpa", "flash_attention_2"]

    @property
    def encoder_bytes(self) -> int:
        """Bytes of a number in the encoder."""
        return BYTES[self.encoder]

    @property
    def decoder_bytes(self) -> int:
        """Bytes of a number in the decoder."""
        return BYTES[self.decoder]


def plan_runtime(machine: Machine, device: str = "auto", precision: Precision = "auto") -> Runtime:
    """Choose device, numbers and attention.

    On CPUs without bfloat16 instructions the encoder, bound by arithmetic, is four times as
    fast in float32, and the decoder, bound by memory, fifteen times as fast in bfloat16
    (measured on an AVX-512 Xeon).

    Raises:
        ConfigError: the device is unknown or not there.
    """
    chosen = ("cuda" if machine.gpus else "cpu") if device == "auto" else device
    kind = chosen.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"device is {device!r}; choose auto, cpu, cuda or cuda:N")
    is_fast = kind == "cpu" or all(_gpus_meant(machine, chosen))
    if precision == "float32" or not is_fast:
        return Runtime(chosen, "float32", "float32", "sdpa")
    if kind == "cpu":
        return Runtime(
            chosen, "bfloat16" if machine.cpu_bfloat16 else "float32", "bfloat16", "sdpa"
        )
    attention: Literal["sdpa", "flash_attention_2"]
    attention = "flash_attention_2" if machine.flash_attention else "sdpa"
    return Runtime(chosen, "bfloat16", "bfloat16", attention)


def _gpus_meant(machine: Machine, device: str) -> tuple[bool, ...]:
    """The GPU of ``"cuda:N"``; of ``"cuda"`` all, because torch may say later which it is."""
    if not machine.gpus:
        raise ConfigError(f"device is {device!r}, but PyTorch sees no GPU; choose cpu")
    if device == "cuda":
        return machine.gpus
    names = [f"cuda:{number}" for number in range(len(machine.gpus))]
    if device not in names:
        raise ConfigError(f"device is {device!r}; PyTorch sees {', '.join(names)}: choose one")
    return (machine.gpus[names.index(device)],)


def probe_machine() -> Machine:
    """Look at the GPUs, the CPU's instructions and the packages here."""
    import torch

    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    # Absent before torch 2.12; then bfloat16 is taken to be emulated, which is slow but right.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return Machine(
        # As torch decides for the current GPU: bfloat16 came with capability 8.0.
        gpus=tuple(torch.cuda.get_device_capability(gpu) >= (8, 0) for gpu in gpus),
        cpu_bfloat16=bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")),
        flash_attention=util.find_spec("flash_attn") is not None,
    )


def free_bytes(device: str) -> int | None:
    """Memory that could be taken now on a device, or None where nothing tells."""
    if device.startswith("cuda"):
        import torch

        # What torch holds without a tensor in it looks taken to the driver, and is free to us.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    limits = [n for n in (_available_memory(), _container_memory()) if n is not None]
    return min(limits) if limits else None


def require_memory(needed: int, free: int | None, what: str, remedy: str) -> None:
    """Refuse to take memory that is not there.

    Raises:
        OutOfMemory: with both numbers.
    """
    if free is not None and needed > free:
        raise OutOfMemory(
            f"{what} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free;"
            f" {remedy}"
        )


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None  # not Linux
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _container_memory() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None  # no container, or the older layout
    return int(limit) - used if limit.isdigit() else None
