"""Whether a device computes bfloat16 itself, so that mixed precision is worth using.

Where a device emulates bfloat16, it is slower than float32. The answer comes from what the device
reports and never from a timing, so it is the same in every process on one machine.
"""

import torch

CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # Intel and AMD, Intel, ARM


def native_bf16(device: torch.device | str = "cpu") -> bool:
    """Return whether a device has instructions for bfloat16.

    Args:
        device: "cpu", "cuda" and "mps" are known; every other kind counts as not native.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return kind == "mps"
    if not torch.backends.mkldnn.is_available():  # torch computes it through oneDNN
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(flag, False) for flag in CPU_FLAGS)
    older = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch before 2.12
    return any(getattr(torch.cpu, name, bool)() for name in older)  # bool() is False
