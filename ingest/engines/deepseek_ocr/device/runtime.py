"""Choice of device and dtypes: probe the machine, decide from the result, check free memory."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Final, Literal

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

Dtype = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32"]
"""``"float32"`` reproduces reference numbers; ``"auto"`` takes the fastest dtypes."""

_BYTES: Final[dict[Dtype, int]] = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine supports."""

    gpus: tuple[bool, ...]  # per GPU, whether it computes in bfloat16
    cpu_bfloat16: bool  # whether the CPU has bfloat16 matrix instructions
    flash_attention: bool  # whether the flash_attn package is installed


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where and how the model runs."""

    device: str  # cpu, cuda or cuda:N
    encoder: Dtype
    decoder: Dtype
    # Of the decoder. The encoder adds a bias to its scores, so it always uses SDPA.
    attention: Literal["sdpa", "flash_attention_2"]

    @property
    def encoder_bytes(self) -> int:
        """Bytes of an encoder parameter."""
        return _BYTES[self.encoder]

    @property
    def decoder_bytes(self) -> int:
        """Bytes of a decoder parameter."""
        return _BYTES[self.decoder]


def plan_runtime(machine: Machine, device: str = "auto", precision: Precision = "auto") -> Runtime:
    """Choose device, dtypes and attention.

    On CPUs without bfloat16 instructions the encoder is compute-bound and four times as fast in
    float32; the decoder is memory-bound and fifteen times as fast in bfloat16 (measured on an
    AVX-512 Xeon).

    Raises:
        ConfigError: the device is unknown or missing.
    """
    chosen = ("cuda" if machine.gpus else "cpu") if device == "auto" else device
    kind = chosen.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"invalid device {device!r}: choose auto, cpu, cuda or cuda:N")
    is_fast = kind == "cpu" or all(_matching_gpus(machine, chosen))
    if precision == "float32" or not is_fast:
        return Runtime(chosen, "float32", "float32", "sdpa")
    if kind == "cpu":
        encoder: Dtype = "bfloat16" if machine.cpu_bfloat16 else "float32"
        return Runtime(chosen, encoder, "bfloat16", "sdpa")
    attention: Literal["sdpa", "flash_attention_2"]
    attention = "flash_attention_2" if machine.flash_attention else "sdpa"
    return Runtime(chosen, "bfloat16", "bfloat16", attention)


def _matching_gpus(machine: Machine, device: str) -> tuple[bool, ...]:
    """Return the GPU of ``"cuda:N"``. Return all for ``"cuda"``: PyTorch picks one later."""
    if not machine.gpus:
        raise ConfigError(f"invalid device {device!r}: PyTorch sees no GPU; choose cpu")
    if device == "cuda":
        return machine.gpus
    names = [f"cuda:{number}" for number in range(len(machine.gpus))]
    if device not in names:
        raise ConfigError(
            f"invalid device {device!r}: PyTorch sees {', '.join(names)}; choose one of them"
        )
    return (machine.gpus[names.index(device)],)


def probe_machine() -> Machine:
    """Query GPUs, CPU instructions and installed packages."""
    import torch

    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    # Missing before torch 2.12. Then bfloat16 counts as emulated: slower, but correct.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return Machine(
        # The test of torch.cuda.is_bf16_supported, which only asks about the current GPU:
        # bfloat16 came with compute capability 8.0.
        gpus=tuple(torch.cuda.get_device_capability(gpu) >= (8, 0) for gpu in gpus),
        cpu_bfloat16=bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")),
        flash_attention=util.find_spec("flash_attn") is not None,
    )


def free_bytes(device: str) -> int | None:
    """Bytes that can be allocated on a device now; None if the system does not report it."""
    if device.startswith("cuda"):
        import torch

        # The driver counts memory cached by PyTorch's allocator as used; we can still use it.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    limits = [n for n in (_available_memory(), _container_memory()) if n is not None]
    return min(limits) if limits else None


def require_memory(needed: int, free: int | None, what: str, remedy: str) -> None:
    """Check that ``what`` can allocate the bytes it needs; skip this if ``free`` is None (unknown).

    Raises:
        OutOfMemory: less than needed is free.
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
        return None  # not in a container, or cgroup version 1
    return int(limit) - used if limit.isdigit() else None
